"""Launch jobs exactly once per condition and cycle, even after a crash.

A run after a crash lists the launches still in flight, then reads the queue, before it launches anything:
an intent without a job may be a launch that SkyPilot has accepted. The order and the grace period are
explained in docs/decisions/0014.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from fmon.launch.dispatcher import Dispatcher
from fmon.launch.intent_log import LaunchKey, write_dry
from fmon.launch.outcome import DispatchOutcome
from fmon.store.durable import LockTaken, lock
from fmon.store.folder import launch_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fmon.clock import Clock
    from fmon.launch.limits import DispatchLimits
    from fmon.manifest.stored import StoredExperiment
    from fmon.model import Entry
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter

__all__ = ["DispatchOutcome", "LaunchKey", "dispatch", "exclusive"]


class AnotherLauncher(LockTaken):
    """Another process is launching jobs of experiments of this name."""


@contextmanager
def exclusive(data: Path, experiment_name: str, *, wait_s: float = 5.0) -> Iterator[int]:
    """Hold the lock for launching jobs of experiments of this name; the kernel releases it with the process.

    Yields the lock's file descriptor for the submitter's worker, which holds the lock as long as it lives.

    Parameters
    ----------
    data
        Data directory.
    experiment_name
        Name of the experiment in the config.
    wait_s
        How long to wait for another launcher [s].

    Raises
    ------
    AnotherLauncher
        Another process is launching.
    """
    with ExitStack() as held:
        data.mkdir(parents=True, exist_ok=True)
        try:
            handle = held.enter_context(lock(launch_lock(data, experiment_name), wait_s=wait_s))
        except LockTaken as taken:
            message = (
                f"another fmon is launching jobs of {experiment_name} in {data}; wait until it has ended"
            )
            raise AnotherLauncher(message) from taken
        yield handle


def dispatch(
    stored: StoredExperiment,
    attempts: Iterable[LaunchKey],
    submitter: Submitter,
    queue: QueueReader,
    *,
    task_yaml: Callable[[Entry, int], str],
    clock: Clock,
    limits: DispatchLimits,
    progress: Callable[[int, int], None] = lambda settled, total: None,
) -> DispatchOutcome:
    """Launch attempts that have no job yet, and record them; the caller holds ``exclusive``.

    Parameters
    ----------
    stored
        The experiment, read under ``exclusive``; its manifest exists and names every condition (F5).
    attempts
        Conditions and cycles; those that already have a job of their cycle are not launched.
    submitter, queue
        Launches the jobs; reads the queue.
    task_yaml
        Returns the complete task YAML of a condition's job in a cycle, metadata included.
    clock
        The clock.
    limits
        Rates and timeouts.
    progress
        Called with (number of settled attempts, number of all attempts).

    Returns
    -------
    DispatchOutcome
        Empty for a replay: its launches are recorded but not sent.

    Raises
    ------
    QueueError
        The first poll failed: nothing was launched.
    """
    unique = list(dict.fromkeys(attempts))
    if stored.manifest.is_replay:
        write_dry(stored, unique, at=clock.now())
        return DispatchOutcome()
    return Dispatcher(
        stored=stored,
        attempts=unique,
        submitter=submitter,
        queue=queue,
        task_yaml=task_yaml,
        clock=clock,
        limits=limits,
        progress=progress,
    ).run()
