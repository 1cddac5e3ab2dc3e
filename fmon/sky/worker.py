"""Run one read-only command of SkyPilot's SDK in a separate process.

``python -m fmon.sky.worker SECONDS COMMAND ...``. It never calls ``sky.get``, which unpickles the
response of the server. Prints one marked line: ``{"answer": ...}`` or
``{"error": {"type", "message"}}``.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.sky.head_and_tail import PartedEnds
from fmon.sky.protocol import FIELDS, SPEC_FIELDS, jobs_of, one_line, refusal, return_value_of
from fmon.sky.sdk import MARK, PIECE
from fmon.sky.task_yaml import count_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SPARE_S = 5.0
"""Part of the allowed time that is reserved for printing the answer [s]."""

CONFIG_PRICED = {"slurm", "kubernetes"}


def main(arguments: list[str]) -> None:
    """Run one command and print its answer."""
    seconds, command, *rest = arguments
    # If fmon itself is killed, nothing else ends this process.
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
    """Return the raw records of all jobs of all users."""
    import sky.jobs

    del arguments
    return _records(sky.jobs.queue_v2(refresh=False, all_users=True, fields=FIELDS), until)


def _specs(arguments: list[str], until: float) -> list[Any]:
    """Return the raw records of some jobs with what was recorded when they were submitted."""
    import sky.jobs

    job_ids = [int(argument) for argument in arguments]
    request = sky.jobs.queue_v2(refresh=False, all_users=True, job_ids=job_ids, fields=SPEC_FIELDS)
    return _records(request, until)


def _records(request: Any, until: float) -> list[Any]:
    """Return the raw records in the answer to a queue request."""
    body = _result(request, until)
    try:
        return jobs_of(body)
    except QueueError:
        # The SDK may know this structure. Its decoder reads JSON, not pickles.
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


def _logs(arguments: list[str], until: float) -> list[dict[str, Any]]:
    """Return the logs written so far, each given as JOB_ID or JOB_ID:controller, while there is time."""
    import sky.jobs

    answers: list[dict[str, Any]] = []
    for argument in arguments:
        if time.monotonic() > until:
            break
        job_id, _, which = argument.partition(":")
        try:
            # An iterator: with an output stream the SDK reacts to log lines that look like its login prompt.
            lines = sky.jobs.tail_logs(
                job_id=int(job_id), follow=False, controller=which == "controller", preload_content=False
            )
            answers.append({"text": _text_of(lines, until)})
        except Exception as error:
            error_type = error.error_type if isinstance(error, QueueError) else type(error).__name__
            answers.append({"error": one_line(str(error)), "type": error_type})
    return answers


def _stream(arguments: list[str], until: float) -> None:
    """Print a log piece by piece, given as JOB_ID, whether the controller's, whether to follow, and lines."""
    import sky.jobs

    del until
    job_id, is_controller, follow, tail = map(int, arguments)
    pieces = sky.jobs.tail_logs(
        job_id=job_id,
        follow=bool(follow),
        controller=bool(is_controller),
        tail=tail or None,
        preload_content=False,  # as in _logs
    )
    for piece in pieces:  # None is a heartbeat; printing it ends this process if fmon has gone
        print("\n" + PIECE + json.dumps(piece or ""), flush=True)  # noqa: T201


def _text_of(lines: Iterable[str | None], until: float) -> str:
    """Join the lines of a log; keep the head and the tail of a long one."""
    ends = PartedEnds()
    for line in lines:
        ends.add((line or "").encode("utf-8", "replace"))
        if time.monotonic() > until:
            message = "SkyPilot's SDK did not send the entire log in time"
            raise QueueError(message, error_type="Timeout")
    return ends.value().decode("utf-8", "replace")


def _prices(arguments: list[str], until: float) -> dict[str, dict[str, float | None]]:
    """Return prices per accelerator [USD/h]: from SkyPilot's config, else of the cheapest region."""
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
            unpriced = [name for name in arguments if name not in prices]
            pattern = "^(" + "|".join(re.escape(name) for name in unpriced) + ")$"
            if unpriced:
                _add_cheapest(prices, catalog.list_accelerators(name_filter=pattern, clouds=cloud))
    return prices


def _add_cheapest(prices: dict[str, dict[str, float | None]], offers: dict[str, Any]) -> None:
    """Add the lowest price of each accelerator among a cloud's machines."""
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
    """Return the cost report: the cost of each cluster of the last days."""
    from sky.client import sdk

    return return_value_of(_result(sdk.cost_report(days=int(arguments[0])), until))


def _tasks(arguments: list[str], until: float) -> int:
    """Check the task YAMLs in some files, and return the highest number of tasks."""
    del until
    return max(count_tasks(Path(argument).read_text()) for argument in arguments)


COMMANDS: dict[str, Callable[[list[str], float], Any]] = {
    "queue": _queue,
    "specs": _specs,
    "logs": _logs,
    "stream": _stream,
    "prices": _prices,
    "costs": _costs,
    "tasks": _tasks,
}

if __name__ == "__main__":
    main(sys.argv[1:])
