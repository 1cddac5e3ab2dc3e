"""Launch jobs exactly once per condition and cycle, whatever dies in between.

Whoever comes after a crash looks at the launches still in flight, then at the queue, before it launches
anything: an intent without a job may be one that SkyPilot has taken. Why in this order, and with which
grace: docs/decisions/0014.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from fmon.launch.dispatcher import Dispatcher, DispatchLimits
from fmon.launch.intent_log import LaunchKey, write_dry
from fmon.launch.outcome import DispatchOutcome
from fmon.store.durable import LockTaken, lock
from fmon.store.folder import launch_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fmon.clock import Clock
    from fmon.manifest.stored import StoredExperiment
    from fmon.model import Entry
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter

__all__ = ["DispatchLimits", "DispatchOutcome", "LaunchKey", "dispatch", "exclusive"]


@contextmanager
def exclusive(data: Path, experiment_name: str, *, wait_s: float = 5.0) -> Iterator[int]:
    """Be the only one who launches jobs of experiments of this name; the kernel ends it with the process.

    Gives the lock's file descriptor, for the submitter's worker: it holds the lock as long as it lives.

    Parameters
    ----------
    data
        Data directory.
    experiment_name
        Of the config.
    wait_s
        How long to wait for another one [s].

    Raises
    ------
    LockTaken
        Another process launches.
    """
    with ExitStack() as held:
        data.mkdir(parents=True, exist_ok=True)
        try:
            handle = held.enter_context(lock(launch_lock(data, experiment_name), wait_s=wait_s))
        except LockTaken as taken:
            message = (
                f"another fmon launches jobs of {experiment_name} in {data} now; wait until it has ended"
            )
            raise LockTaken(message) from taken
        yield handle


def dispatch(
    stored: StoredExperiment,
    attempts: Iterable[LaunchKey],
    submitter: Submitter,
    queue: QueueReader,
    *,
    task_yaml: Callable[[Entry, int], str],
    clock: Clock,
    limits: DispatchLimits | None = None,
    progress: Callable[[int, int], None] = lambda settled, total: None,
) -> DispatchOutcome:
    """Launch what has no job yet, and write it into manifest and audit; the caller holds ``exclusive``.

    Parameters
    ----------
    stored
        The experiment, read under ``exclusive``; its manifest stands and names every condition (F5).
    attempts
        Conditions and cycles; one that has a job of its cycle is not launched.
    submitter, queue
        What launches, and where the jobs are read from.
    task_yaml
        The whole task YAML of a condition's job in a cycle, metadata included.
    clock
        The clock.
    limits
        How fast.
    progress
        Called with (attempts that are settled, all).

    Returns
    -------
    Dispatched
        Of a replay nothing: its launches are written down and never leave.

    Raises
    ------
    QueueError
        The first look failed: nothing was launched.
    """
    wanted = list(dict.fromkeys(attempts))
    if stored.manifest.is_replay:
        write_dry(stored, wanted, at=clock.now())
        return DispatchOutcome()
    return Dispatcher(
        stored=stored,
        wanted=wanted,
        submitter=submitter,
        queue=queue,
        task_yaml=task_yaml,
        clock=clock,
        limits=limits or DispatchLimits(),
        progress=progress,
    ).run()
