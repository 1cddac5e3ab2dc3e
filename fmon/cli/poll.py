"""``fmon poll`` without Typer, since cron may start it every minute for years.

Typer 0.29 loads pydantic to read a single option: 0.1 s and 20 MB, several times what a quiet poll
needs. So the plain forms of the command are parsed here, and ``fmon.cli.app`` calls the same
``run_poll`` for all others (docs/decisions/0009).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fmon.cli.stderr import refuse_bad, say
from fmon.errors import ConfigError
from fmon.store.folder import stores
from fmon.store.unexamined import is_due

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.monitor.poll import Polled
    from fmon.store.folder import Store

DATA_VARIABLE, QUEUE_VARIABLE = "FMON_DATA", "FMON_QUEUE"
DEFAULT_DATA, DEFAULT_QUEUE = "data", "sky"


class PollCall(NamedTuple):
    """The arguments of one ``fmon poll``."""

    experiments: list[str]
    data: str
    queue: str
    is_new_server: bool = False


def plain_call(words: Sequence[str]) -> PollCall | None:
    """Parse ``[EXPERIMENT...] [-e EXPERIMENT] [--data DIR] [--queue SRC]``; None = leave it to Typer.

    Parameters
    ----------
    words
        The arguments after ``fmon poll``.

    Examples
    --------
    >>> plain_call(["demo", "--data", "d", "--queue", "file:-"])
    PollCall(experiments=['demo'], data='d', queue='file:-')
    >>> plain_call(["-e", "demo", "-e", "other"]).experiments
    ['demo', 'other']
    >>> plain_call(["--help"]) is None
    True
    """
    options = {
        "--data": os.environ.get(DATA_VARIABLE) or DEFAULT_DATA,
        "--queue": os.environ.get(QUEUE_VARIABLE) or DEFAULT_QUEUE,
    }
    experiments: list[str] = []
    by_option: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in options or word in ("-e", "--experiment"):
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            if word in options:
                options[word] = value
            else:
                by_option.append(value)
        elif word.startswith("-"):
            return None
        else:
            experiments.append(word)
    if experiments and by_option:
        return None
    return PollCall(experiments or by_option, options["--data"], options["--queue"])


def run_poll(call: PollCall) -> None:
    """Poll once and print what was done, one line per experiment.

    Raises
    ------
    FmonError
        Something could not be done; everything else is stored.
    """
    data = Path(call.data)
    now = datetime.now(UTC)
    if call.is_new_server and not call.experiments:
        raise ConfigError("--new-server needs the experiments to move: fmon poll EXPERIMENT... --new-server")
    if not call.experiments and not any(_needs_poll(store, now) for store in stores(data)):
        return
    from fmon.monitor.poll import poll
    from fmon.sky.logs import open_logs
    from fmon.sky.queue import open_queue

    queue = open_queue(call.queue, memo=data / ".request.json")
    if not call.experiments and not any(store.is_to_poll(now) for store in stores(data)):
        _load_storage()  # no server is asked, so there is no wait to use for it
    logs = open_logs(call.queue)
    polled = poll(
        data,
        queue,
        call.experiments,
        now=now,
        while_waiting=_load_storage,
        logs=logs,
        is_new_server=call.is_new_server,
    )
    _report(polled, is_named=bool(call.experiments))


def replay_sentence(experiment_id: str) -> str:
    """Return why a replay is not polled."""
    return f"{experiment_id}: a replay, so its jobs are not in the queue; fmon status shows how it ended"


def _needs_poll(store: Store, now: datetime) -> bool:
    """Return whether an experiment is open, due to be checked again, or was closed with work left to do."""
    return store.is_to_poll(now) or store.has_unchecked or is_due(store, now)


def _load_storage() -> None:
    """Import what storing needs; called while the server prepares its answer."""
    from fmon.store.lean import import_pyarrow_alone

    import_pyarrow_alone()
    import fmon.monitor.ingest  # noqa: F401


def _report(polled: Polled, *, is_named: bool) -> None:
    """Print what a poll did, then raise the error about what it could not do."""
    if polled.is_skipped:
        say("fmon: another poll is running; skipped")
    for replay in polled.replays:
        say(replay_sentence(replay))
    for seen in polled.observed:
        if is_named or not seen.is_unchanged:
            say(f"{seen.experiment_id}: {seen.sentence()}")
    for checked in polled.checked:
        if sentence := checked.sentence():
            say(f"{checked.experiment_id}: {sentence}")
    for examined in polled.examined:
        if sentence := examined.sentence():
            say(f"{examined.experiment_id}: {sentence}")
    if polled.left_over:
        say(f"fmon: {polled.left_over}")
    faults = list(polled.faults.values())
    for fault in faults[1:]:
        say(f"fmon: {fault}")
    if faults:
        raise faults[0]
    if polled.error:
        raise polled.error
    refuse_bad([sentence for seen in polled.observed[:1] for sentence in seen.bad])
