"""Phase 2, monitor: look at the queue and remember what it said (floor 6).

Reads the queue through a ``QueueReader``, which has nothing that launches or cancels.
Writes snapshots into the stores of the experiments it looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.errors import FmonError, QueueError
from fmon.store.durable import LockTaken, lock
from fmon.store.folder import Store, find, poll_lock, stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from fmon.observe import Observed
    from fmon.sky.queue import Answer, QueueReader


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What one poll did.

    Attributes
    ----------
    observed : one item per experiment whose store took the poll
    is_skipped : another poll was under way, nothing was asked
    error : why the queue could not be read; it stands in the heartbeats as well
    faults : what kept single experiments from being stored, by experiment_id
    """

    observed: list[Observed] = field(default_factory=list)
    is_skipped: bool = False
    error: QueueError | None = None
    faults: dict[str, FmonError] = field(default_factory=dict)


def poll(
    data: Path,
    queue: QueueReader,
    experiments: Sequence[str] = (),
    *,
    now: datetime,
    while_waiting: Callable[[], None] | None = None,
) -> Polled:
    """Look at the queue once for all open experiments; read-only towards SkyPilot.

    Parameters
    ----------
    data : folder of the stores
    queue : where the queue is read from; it stamps its answers with the time they came
    experiments : unique prefixes of experiment ids; empty = all that are open
    now : the clock [UTC], for the heartbeat of a look that failed
    while_waiting : called once after the question went out

    Returns
    -------
    Polled
        Never raises for one experiment's fault before all others are stored.
    """
    named = [find(data, prefix) for prefix in experiments]
    wanted = [store for store in named or stores(data) if not store.is_closed]
    if not wanted:
        return Polled()
    try:
        # Polls never overlap: SkyPilot's server piles them up. The kernel frees the lock of a dead poll.
        with lock(poll_lock(data), wait_s=0):
            return _look(wanted, queue, now=now, while_waiting=while_waiting)
    except LockTaken:
        return Polled(is_skipped=True)


def watch(
    data: Path,
    queue: QueueReader,
    experiment: str,
    *,
    interval_s: float,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Iterator[Polled]:
    """Poll one experiment again and again, one item a poll; the caller stops when it has seen enough.

    Parameters
    ----------
    data, queue : as in ``poll``
    experiment : its id
    interval_s : time between the starts of two polls [s]; a slow poll delays the next, never overlaps it
    clock, sleep : the clock [UTC] and how to wait [s]
    """
    while True:
        started = clock()
        yield poll(data, queue, [experiment], now=started)
        sleep(max(0.0, interval_s - (clock() - started).total_seconds()))


def _look(
    wanted: list[Store], queue: QueueReader, *, now: datetime, while_waiting: Callable[[], None] | None
) -> Polled:
    """Ask the queue once and hand its answer to each store."""
    answer: Answer | QueueError
    error = None
    try:
        answer = queue.read(while_waiting)
    except QueueError as failed:
        answer = error = failed
    from fmon.observe import observe  # loads pyarrow: not before the question went out

    observed, faults = [], {}
    for store in wanted:
        try:
            observed.append(observe(store, answer, source=queue.name, now=now))
        except FmonError as fault:
            faults[store.experiment_id] = fault
    return Polled(observed=observed, error=error, faults=faults)
