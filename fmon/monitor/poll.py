"""Phase 2, monitor: read the queue and store the answer.

Reads the queue with a ``QueueReader``, which can't launch or cancel anything. Writes snapshots into the
stores of the experiments.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fmon.errors import FmonError, QueueError, StoreError
from fmon.store.durable import LockTaken, lock, write_durably
from fmon.store.folder import (
    POLL_WAIT_S,
    Store,
    examine_turn,
    find,
    next_check,
    poll_lock,
    stores,
    variables_lock,
)
from fmon.store.unexamined import has_new, is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from fmon.clock import Clock
    from fmon.monitor.check_variables import Checked
    from fmon.monitor.classify import Examined
    from fmon.monitor.ingest import Ingested
    from fmon.sky.reader import Answer, LogReader, QueueReader


@dataclass(frozen=True, kw_only=True)
class Polled:
    """The result of one poll.

    Attributes
    ----------
    observed
        One item per experiment whose store has the poll.
    polled_at
        When the queue answered [UTC]; None if it did not, or was not read.
    replays
        Experiments that were named but are replays: their jobs are in no queue.
    is_skipped
        Whether another poll was running, so that this one did nothing.
    examined
        One item per experiment that had failures to examine.
    checked
        One item per experiment with new jobs: those whose variables differ from those of their conditions.
    specs_error
        Why the variables of new jobs could not be compared; the next poll tries again.
    error
        Why the queue could not be read; also in the heartbeats.
    faults
        Errors of single experiments, by experiment_id.
    """

    observed: list[Ingested] = field(default_factory=list)
    polled_at: datetime | None = None
    examined: list[Examined] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    specs_error: QueueError | None = None
    replays: list[str] = field(default_factory=list)
    is_skipped: bool = False
    error: QueueError | None = None
    faults: dict[str, FmonError] = field(default_factory=dict)

    @property
    def left_over(self) -> str | None:
        """What is left for the next poll, in one line; None = nothing."""
        if self.specs_error is None:
            return None
        return f"the variables of new jobs could not be compared yet: {self.specs_error}"


def poll(
    data: Path,
    queue: QueueReader,
    experiments: Sequence[str] = (),
    *,
    now: datetime,
    while_waiting: Callable[[], None] | None = None,
    logs: LogReader | None = None,
    is_new_server: bool = False,
) -> Polled:
    """Read the queue once for all open experiments, then what new and failed jobs need; changes no job.

    New jobs are compared with the manifest, and the logs of failed jobs are read.

    Parameters
    ----------
    data
        Data directory.
    queue
        The reader of the queue, whose answers have a time.
    experiments
        Unique prefixes of experiment ids, polled even if they have ended; empty = all open experiments, and
        the ended ones that are due to be checked again.
    now
        The current time [UTC], for the heartbeat of a failed poll.
    while_waiting
        Called once after the request was sent.
    logs
        The reader of logs; None = a later poll examines the failures.
    is_new_server
        Whether the API server that answers has taken the place of the one that had the jobs.

    Returns
    -------
    Polled
        An error of one experiment does not prevent the others from being stored.
    """
    named = [find(data, prefix) for prefix in experiments]
    known = named or stores(data)
    to_poll = [store for store in known if _is_polled(store, now, is_named=bool(named))]
    polled = Polled(replays=[store.experiment_id for store in named if store not in to_poll])
    if to_poll:
        try:
            # Polls never overlap: SkyPilot's server would queue them. A killed poll releases the lock.
            with lock(poll_lock(data), wait_s=0):
                polled = _read_queue(
                    to_poll, queue, now=now, while_waiting=while_waiting, is_new_server=is_new_server
                )
        except LockTaken:
            return Polled(is_skipped=True)
    # Not under that lock: the next poll must not wait for task YAMLs or logs.
    known = [store for store in known if not isinstance(polled.faults.get(store.experiment_id), QueueError)]
    unchecked = [store for store in known if store.has_unchecked]
    if unchecked and polled.error is None:
        polled = _check_variables(data, unchecked, queue, polled)
    due = [store for store in known if is_due(store, now)]
    if logs is not None and due and polled.error is None:
        _examine(data, due, logs, polled, now=now)
    return polled


def poll_one(store: Store, queue: QueueReader, *, clock: Clock) -> Answer:
    """Poll one experiment before something is done with its jobs; waits for a poll that is running.

    Parameters
    ----------
    store, queue
        The experiment, also one that has ended; the reader of the queue.
    clock
        The clock.

    Raises
    ------
    QueueError
        The queue did not answer, or another server did; a heartbeat is stored.
    LockTaken
        Another poll ran for too long.
    """
    from fmon.monitor.ingest import ingest

    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S):
        try:
            answer = queue.read()
        except QueueError as error:
            ingest(store, error, source=queue.name, now=clock.now())
            raise
        refused = ingest(store, answer, source=queue.name, now=clock.now()).error
    if refused is not None:
        raise refused
    return answer


def watch(
    data: Path,
    queue: QueueReader,
    experiment: str,
    *,
    interval_s: float,
    clock: Clock,
    logs: LogReader | None = None,
) -> Iterator[Polled]:
    """Poll one experiment repeatedly and yield one item per poll, until the caller stops.

    Parameters
    ----------
    data, queue
        As in ``poll``.
    experiment
        Id of the experiment.
    interval_s
        Time between the starts of two polls [s]; a slow poll delays the next, never overlaps it.
    clock
        The clock to use.
    logs
        As in ``poll``.
    """
    while True:
        started = clock.now()
        yield poll(data, queue, [experiment], now=started, logs=logs)
        clock.sleep(max(0.0, interval_s - (clock.now() - started).total_seconds()))


def _is_polled(store: Store, now: datetime, *, is_named: bool) -> bool:
    """Return whether to poll an experiment: an open one, or one that has ended and is checked again.

    Never a replay: its jobs are in no queue. The manifest is only read for an ended experiment that is due.
    """
    if not store.is_closed:
        return True
    if not is_named and not store.is_to_poll(now):
        return False
    from fmon.manifest.file import read_manifest

    try:
        is_live = not read_manifest(store).is_replay
        is_over = next_check(store.closed_at, now) is None and not is_named
    except (FmonError, OSError):  # what can't be read is reported where it is stored
        return True
    if is_over or not is_live:
        store.check_no_more()
        return False
    return True


def _read_queue(
    experiments: list[Store],
    queue: QueueReader,
    *,
    now: datetime,
    while_waiting: Callable[[], None] | None,
    is_new_server: bool,
) -> Polled:
    """Read the queue once and pass its answer to each store."""
    answer: Answer | QueueError
    error = polled_at = None
    try:
        answer = queue.read(while_waiting)
        polled_at = answer.polled_at
    except QueueError as failed:
        answer = error = failed
    from fmon.manifest.api_server import move_to_server
    from fmon.monitor.ingest import ingest  # loads pyarrow, so only after the request was sent

    observed: list[Ingested] = []
    faults: dict[str, FmonError] = {}
    for store in experiments:
        try:
            if is_new_server and not isinstance(answer, QueueError):
                move_to_server(store, answer)
            seen = ingest(store, answer, source=queue.name, now=now)
        except FmonError as fault:
            faults[store.experiment_id] = fault
            continue
        if seen.error is not None and error is None:
            faults[store.experiment_id] = seen.error  # another server has its jobs
        else:
            observed.append(seen)
    return Polled(observed=observed, polled_at=polled_at, error=error, faults=faults)


def _check_variables(data: Path, unchecked: list[Store], queue: QueueReader, polled: Polled) -> Polled:
    """Compare the variables of new jobs, unless another process does so."""
    from fmon.monitor.check_variables import check_variables  # few polls see a new job

    try:
        with lock(variables_lock(data), wait_s=0):
            found = check_variables(unchecked, queue)
    except LockTaken:
        return polled
    faults = found.faults | polled.faults
    return replace(polled, checked=found.checked, specs_error=found.error, faults=faults)


def _examine(data: Path, due: list[Store], logs: LogReader, polled: Polled, *, now: datetime) -> None:
    """Examine the failures of all experiments together, within the budget of one poll."""
    from fmon.manifest.api_server import is_elsewhere
    from fmon.manifest.file import read_manifest
    from fmon.monitor.classify import budget_of, examine  # few polls see a failure

    budget = budget_of(logs)
    for store in _in_turn(data, due):
        if budget.is_spent:
            return  # do not open the other experiments in vain
        try:
            manifest = read_manifest(store)
            # Jobs of a replay are not in a queue, and the ids are those of other jobs on another server.
            if not manifest.is_replay and not is_elsewhere(manifest, logs.name):
                examined = examine(store, manifest, logs, now=now, polled_at=polled.polled_at, budget=budget)
                polled.examined.append(examined)
                if examined.categories and store.is_closed:  # closed before the causes were known
                    _refresh(store, now=now)
        except FmonError as fault:
            polled.faults.setdefault(store.experiment_id, fault)


def _refresh(store: Store, *, now: datetime) -> None:
    """Copy the new causes into the manifest of an ended experiment."""
    from fmon.monitor.refresh import refresh  # loads DuckDB

    refresh(store, now=now)


def _in_turn(data: Path, due: list[Store]) -> list[Store]:
    """Sort experiments: those with new failures first, then those with logs to request again, in rotation.

    The experiment that the last poll began with comes last. The first one is recorded before its logs are
    requested, so that the rotation continues after a poll that was killed.
    """
    if len(due) < 2:
        return due
    turn = examine_turn(data)
    with contextlib.suppress(OSError, StoreError):  # without the record only the order changes
        last = turn.read_text(errors="replace") if turn.exists() else ""
        due = sorted(
            due, key=lambda store: (not has_new(store), store.experiment_id <= last, store.experiment_id)
        )
        write_durably(turn, due[0].experiment_id.encode())
    return due
