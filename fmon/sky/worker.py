"""What SkyPilot's SDK is asked, in a process of its own (floor 4).

``python -m fmon.sky.worker SECONDS COMMAND ...``. Reads only, and never calls ``sky.get``, which
unpickles what the server sent. Prints one marked line: ``{"answer": ...}`` or
``{"error": {"type", "message"}}``.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.sky.protocol import FIELDS, jobs_of, one_line, refusal, return_value_of
from fmon.sky.sdk import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HEAD_CHARS = 256 << 10
TAIL_CHARS = 1 << 20
SPARE_S = 5.0
"""Kept of the time allowed, to print the part of a log that came."""

CONFIG_PRICED = {"slurm", "kubernetes"}


def main(arguments: list[str]) -> None:
    """Run one command and print its answer."""
    seconds, command, *rest = arguments
    # If fmon itself is killed, nobody else ends this process.
    signal.setitimer(signal.ITIMER_REAL, float(seconds) + 1)
    until = time.monotonic() + float(seconds) - SPARE_S
    result: dict[str, Any]
    try:
        result = {"answer": COMMANDS[command](rest, until)}
    except QueueError as error:
        result = {"error": {"type": error.error_type, "message": str(error)}}
    except Exception as error:
        result = {"error": {"type": type(error).__name__, "message": one_line(str(error))}}
    sys.stdout.write("\n" + MARK + json.dumps(result) + "\n")


def _queue(arguments: list[str], until: float) -> list[Any]:
    """Give the raw records of all jobs of all users."""
    import sky.jobs

    del arguments
    request = sky.jobs.queue_v2(refresh=False, all_users=True, fields=FIELDS)
    body = _result(request, until)
    try:
        return jobs_of(body)
    except QueueError:
        # Another shape: the SDK may know it. Its decoder reads JSON, no pickle.
        from sky.server.requests.serializers import decoders

        decoded = decoders.get_decoder("jobs.queue_v2")(return_value_of(body))
        records = decoded[0] if isinstance(decoded, tuple) else decoded
        return [record if isinstance(record, dict) else record.model_dump(mode="json") for record in records]


def _result(request: Any, until: float) -> bytes:
    """Fetch a request's result without unpickling it."""
    from sky.server import common

    path = f"/api/get?request_id={request}"
    timeout = (5, max(1.0, until - time.monotonic()))
    response = common.make_authenticated_request("GET", path, retry=False, timeout=timeout)
    if response.status_code != 200:
        raise refusal(response.status_code, response.headers, response.content)
    return bytes(response.content)


def _log(arguments: list[str], until: float) -> str:
    """Give the log of a job or of its controller as far as it is written."""
    import sky.jobs

    job_id, is_controller = int(arguments[0]), arguments[1:] == ["controller"]
    # An iterator: with an output stream the SDK would act on log lines that look like its login dialogue.
    lines = sky.jobs.tail_logs(job_id=job_id, follow=False, controller=is_controller, preload_content=False)
    return keep_ends(_until(lines, until), head=HEAD_CHARS, tail=TAIL_CHARS)


def _until(lines: Iterable[str | None], until: float) -> Iterator[str]:
    """Give the lines of a log while there is time."""
    for line in lines:
        if line is not None:
            yield line
        if time.monotonic() > until:
            yield "\n[fmon: the log did not end in time, the rest is missing]\n"
            return


def keep_ends(parts: Iterable[str], *, head: int, tail: int) -> str:
    """Join text of any length in bounded memory: its first and last characters, the cut marked."""
    first, last, total = "", "", 0
    for part in parts:
        total += len(part)
        room = head - len(first)
        first, rest = first + part[:room], part[room:]
        last += rest
        if len(last) > 2 * tail:
            last = last[-tail:]
    cut = total - len(first) - min(len(last), tail)
    mark = f"\n[fmon: {cut} characters cut here]\n" if cut else ""
    return first + mark + last[-tail:]


def _prices(arguments: list[str], until: float) -> dict[str, dict[str, float | None]]:
    """Give prices per accelerator [USD/h]: the config's own pricing, else the catalog's cheapest region."""
    from sky import catalog
    from sky.catalog.common import resolve_pricing_config
    from sky.client import sdk

    request = sdk.enabled_clouds()
    clouds = [str(cloud).lower() for cloud in return_value_of(_result(request, until))]
    levels = [resolve_pricing_config((cloud, "pricing")) for cloud in clouds if cloud in CONFIG_PRICED]
    prices: dict[str, dict[str, float | None]] = {}
    for name in arguments:
        own = [level["accelerators"][name] for level in levels if name in level.get("accelerators", {})]
        if own:
            prices[name] = {"spot": min(own), "on_demand": min(own)}
    for cloud in clouds:
        if cloud not in CONFIG_PRICED:
            wanted = [name for name in arguments if name not in prices]
            pattern = "^(" + "|".join(re.escape(name) for name in wanted) + ")$"
            if wanted:
                _add_cheapest(prices, catalog.list_accelerators(name_filter=pattern, clouds=cloud))
    return prices


def _add_cheapest(prices: dict[str, dict[str, float | None]], offers: dict[str, Any]) -> None:
    """Take the lowest price of one accelerator among a cloud's machines."""
    for name, machines in offers.items():
        for machine in machines:
            for kind, price in (("spot", machine.spot_price), ("on_demand", machine.price)):
                known = prices.setdefault(name, {"spot": None, "on_demand": None})
                if price is None or not price > 0 or not machine.accelerator_count:
                    continue
                each = price / machine.accelerator_count
                if known[kind] is None or each < known[kind]:
                    known[kind] = each


def _costs(arguments: list[str], until: float) -> Any:
    """Give the cost report: what each cluster of the last days has cost."""
    from sky.client import sdk

    return return_value_of(_result(sdk.cost_report(days=int(arguments[0])), until))


def _task(arguments: list[str], until: float) -> int:
    """Parse a task YAML as a launch would, and count its tasks; variables without a value get one."""
    from sky.utils import dag_utils

    del until
    path, *unset = arguments
    return len(dag_utils.load_chain_dag_from_yaml(path, env_overrides=[(name, "-") for name in unset]).tasks)


COMMANDS: dict[str, Callable[[list[str], float], Any]] = {
    "queue": _queue,
    "log": _log,
    "prices": _prices,
    "costs": _costs,
    "task": _task,
}

if __name__ == "__main__":
    main(sys.argv[1:])
