"""Phase 2, monitor: look at the queue and remember what it said.

Reads the queue through a ``QueueReader``, which has nothing that launches or cancels.
Writes snapshots into the stores of the experiments it looked for.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.errors import FmonError, QueueError, StoreError
from fmon.store.durable import LockTaken, lock, write_durably
from fmon.store.folder import Store, examine_turn, find, poll_lock, stores
from fmon.store.unexamined import has_new, is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from fmon.clock import Clock
    from fmon.monitor.classify import Examined
    from fmon.monitor.ingest import Ingested
    from fmon.sky.reader import Answer, LogReader, QueueReader


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What one poll did.

    Attributes
    ----------
    observed
        One item per experiment whose store took the poll.
    polled_at
        When the queue answered [UTC]; None = it did not, or was not asked.
    is_skipped
        Another poll was under way, nothing was asked.
    examined
        One item per experiment that had failures to examine.
    error
        Why the queue could not be read; it stands in the heartbeats as well.
    faults
        What kept single experiments from being stored, by experiment_id.
    """

    observed: list[Ingested] = field(default_factory=list)
    polled_at: datetime | None = None
    examined: list[Examined] = field(default_factory=list)
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
    logs: LogReader | None = None,
) -> Polled:
    """Look at the queue once for all open experiments, then at the logs of what has failed; read-only.

    Parameters
    ----------
    data
        Data directory.
    queue
        Where the queue is read from; it stamps its answers with the time they came.
    experiments
        Unique prefixes of experiment ids; empty = all that are open.
    now
        The clock [UTC], for the heartbeat of a look that failed.
    while_waiting
        Called once after the question went out.
    logs
        Where logs are read from; None = failures are left to the next poll that has it.

    Returns
    -------
    Polled
        Never raises for one experiment's fault before all others are stored.
    """
    named = [find(data, prefix) for prefix in experiments]
    known = named or stores(data)
    wanted = [store for store in known if not store.is_closed]
    polled = Polled()
    if wanted:
        try:
            # Polls never overlap: SkyPilot's server piles them up. The kernel frees the lock of a dead poll.
            with lock(poll_lock(data), wait_s=0):
                polled = _look(wanted, queue, now=now, while_waiting=while_waiting)
        except LockTaken:
            return Polled(is_skipped=True)
    # Not under that lock: the next look must not wait for logs.
    due = [store for store in known if is_due(store, now)]
    if logs is not None and due and polled.error is None:
        _examine(data, due, logs, polled, now=now)
    return polled


def watch(
    data: Path,
    queue: QueueReader,
    experiment: str,
    *,
    interval_s: float,
    clock: Clock,
    logs: LogReader | None = None,
) -> Iterator[Polled]:
    """Poll one experiment again and again, one item a poll; the caller stops when it has seen enough.

    Parameters
    ----------
    data, queue
        As in ``poll``.
    experiment
        Its id.
    interval_s
        Time between the starts of two polls [s]; a slow poll delays the next, never overlaps it.
    clock
        The clock.
    logs
        As in ``poll``.
    """
    while True:
        started = clock.now()
        yield poll(data, queue, [experiment], now=started, logs=logs)
        clock.sleep(max(0.0, interval_s - (clock.now() - started).total_seconds()))


def _look(
    wanted: list[Store], queue: QueueReader, *, now: datetime, while_waiting: Callable[[], None] | None
) -> Polled:
    """Ask the queue once and hand its answer to each store."""
    answer: Answer | QueueError
    error = polled_at = None
    try:
        answer = queue.read(while_waiting)
        polled_at = answer.polled_at
    except QueueError as failed:
        answer = error = failed
    from fmon.monitor.ingest import ingest  # loads pyarrow: not before the question went out

    observed, faults = [], {}
    for store in wanted:
        try:
            observed.append(ingest(store, answer, source=queue.name, now=now))
        except FmonError as fault:
            faults[store.experiment_id] = fault
    return Polled(observed=observed, polled_at=polled_at, error=error, faults=faults)


def _examine(data: Path, due: list[Store], logs: LogReader, polled: Polled, *, now: datetime) -> None:
    """Examine what has failed, all experiments together within the budget of one poll."""
    from fmon.manifest.file import read_manifest
    from fmon.monitor.classify import budget_of, examine  # few polls see a failure

    budget = budget_of(logs)
    for store in _in_turn(data, due):
        if budget.is_spent:
            return  # opening the others would bring nothing and takes its time
        try:
            manifest = read_manifest(store)
            if not manifest.is_replay:  # its jobs are in no queue
                polled.examined.append(
                    examine(store, manifest, logs, now=now, polled_at=polled.polled_at, budget=budget)
                )
        except FmonError as fault:
            polled.faults.setdefault(store.experiment_id, fault)


def _in_turn(data: Path, due: list[Store]) -> list[Store]:
    """Put failures that were never examined before logs to ask for again, and let each experiment come first.

    The one that the last poll began with comes last. Who begins is noted before its logs are asked for: a
    poll that is killed has had its turn too.
    """
    if len(due) < 2:
        return due
    turn = examine_turn(data)
    with contextlib.suppress(OSError, StoreError):  # without the note the order is another, nothing else
        last = turn.read_text(errors="replace") if turn.exists() else ""
        due = sorted(
            due, key=lambda store: (not has_new(store), store.experiment_id <= last, store.experiment_id)
        )
        write_durably(turn, due[0].experiment_id.encode())
    return due
