"""Append one poll to an experiment's log.

The commit is one rename: a poll's heartbeat and its changed rows are one file. Everything written before
the commit can be discarded, everything after it can be repeated.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from fmon.errors import StoreError
from fmon.model import EPOCH
from fmon.store import compaction, state, unexamined
from fmon.store.arrow import BEAT, LOG, PACKED, SMALL, parquet, read_log_file, table_of, values
from fmon.store.changes import ROW, changed_rows, fingerprint, has_new_job
from fmon.store.durable import cannot, lock, make_folder, remove_temps, write_durably
from fmon.store.reading import Span, listing, spans_of, steadily
from fmon.store.variable_checks import mark_unchecked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fmon.model import Record
    from fmon.store.changes import Row
    from fmon.store.folder import Store

MICROSECOND = timedelta(microseconds=1)
_STATUS = ROW.index("status")
SMALL_ROWS = 1_000
"""Files up to this size are optimized for speed, larger ones for size."""


class Poll(NamedTuple):
    """One query of the queue, successful or not.

    Attributes
    ----------
    polled_at
        Time of the poll [UTC]; with ``source`` the key by which a replay recognizes stored polls.
    source
        Where the queue was read from.
    latency_s
        Time the queue took to answer [s]; stored to the millisecond.
    job_count
        Number of records in the answer, of all users and experiments.
    error_type, error
        Why the poll failed, in one line.
    """

    polled_at: datetime
    source: str
    latency_s: float | None = None
    job_count: int | None = None
    error_type: str | None = None
    error: str | None = None


class Appended(NamedTuple):
    """The id of a stored poll, and the number of job rows it wrote."""

    poll_id: int
    changed_count: int


def append(
    store: Store,
    poll: Poll,
    records: Sequence[Record] | None,
    *,
    failed: frozenset[str] = frozenset(),
) -> Appended:
    """Store one poll; when this returns, it survives a power failure.

    Parameters
    ----------
    store
        The experiment.
    poll
        The poll.
    records
        The experiment's records with prices, one per job task; None if the poll failed, which implies
        nothing about any job.
    failed
        Statuses of failed jobs; a changed row with one of them marks the store as unexamined.

    Raises
    ------
    StoreError
        The disk is full or read-only, or the store is locked for too long: stored data is intact, and the
        next poll resumes.
    """
    seen = None if records is None else fingerprint(records)
    with lock(store.lock_file, wait_s=compaction.LOCK_WAIT_S):
        spans = spans_of(_log_names(store))
        newest = max((span.hi for span in spans), default=0)
        known = state.header(store, newest)  # after a failed poll too: it discards an uncommitted state
        new = Span(newest + 1, newest + 1)
        rows = LOG.empty_table()
        if records is not None and seen is not None and (known is None or known.fingerprint != seen):
            before = state.load(store, known)
            rows_before = state.rows_of(before)
            changed = changed_rows(rows_before, records)
            rows = _job_rows(store, poll, new.hi, changed)
            if any(row[_STATUS] in failed for row in changed):
                unexamined.mark_pending(store)
            if has_new_job(rows_before, changed):
                mark_unchecked(store)
            state.save(store, state.merged(before, rows), state.Header(new.hi, seen))
        beat = _heartbeat(store, poll, new.hi, None if records is None else len(records), rows.num_rows)
        # A poll without changes omits the columns of jobs, which saves a third of the time of its write.
        table = pa.concat_tables([table_of(beat, LOG), rows]) if rows.num_rows else table_of(beat, BEAT)
        write_durably(
            store.log_dir / new.name, parquet(table, options=PACKED if len(table) > SMALL_ROWS else SMALL)
        )
        _compact(store, [*spans, new])
    return Appended(new.hi, rows.num_rows)


def is_unchanged(store: Store, records: Sequence[Record]) -> bool:
    """Return whether these are the records of the newest poll; then ``append`` will store no job row."""
    known = state.header(store, newest_poll_id(store))
    return known is not None and known.fingerprint == fingerprint(records)


def newest_poll_id(store: Store) -> int:
    """Return the id of the newest stored poll; 0 if there is none."""
    return max((span.hi for span in spans_of(listing(store.log_dir))), default=0)


def polls_of(store: Store) -> set[tuple[str, datetime]]:
    """List the stored polls by source and polled_at: a replay skips them."""
    return steadily(store, _polls)


def _polls(paths: Sequence[Path]) -> set[tuple[str, datetime]]:
    known: set[tuple[str, datetime]] = set()
    for path in paths:
        table = read_log_file(path, ["source", "polled_at", "job_id"])
        beats = table.filter(table["job_id"].is_null())
        sources, times = values(beats["source"]), values(beats["polled_at"])
        known.update(zip(sources, (EPOCH + MICROSECOND * time for time in times), strict=True))
    return known


def _log_names(store: Store) -> list[str]:
    """List the files of the log; create it if missing and remove temporary files of killed writers."""
    try:
        make_folder(store.log_dir)
    except OSError as fault:
        raise cannot("write", store.log_dir, fault) from fault
    names = listing(store.log_dir)
    remove_temps(store.log_dir, names)
    return names


def _heartbeat(
    store: Store, poll: Poll, poll_id: int, seen_count: int | None, changed_count: int
) -> dict[str, list[Any]]:
    beat = {
        "experiment_id": store.experiment_id,
        "poll_id": poll_id,
        "polled_at": _microseconds(poll.polled_at),
        "source": poll.source,
        "is_ok": seen_count is not None,
        "error_type": poll.error_type,
        "error": poll.error and " ".join(poll.error.split()),
        "job_count": poll.job_count,
        "seen_count": seen_count,
        "changed_count": changed_count,
        # Microseconds of latency are noise, and would make up half of the file of a year.
        "latency_s": poll.latency_s if poll.latency_s is None else round(poll.latency_s, 3),
    }
    return {name: [value] for name, value in beat.items()}


def _job_rows(store: Store, poll: Poll, poll_id: int, changed: list[Row]) -> pa.Table:
    count = len(changed)
    columns: dict[str, Sequence[Any]] = {
        "experiment_id": [store.experiment_id] * count,
        "poll_id": [poll_id] * count,
        "polled_at": [_microseconds(poll.polled_at)] * count,
    }
    if changed:
        columns.update(zip(ROW, zip(*changed, strict=True), strict=True))
    return table_of(columns, LOG)


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def _compact(store: Store, spans: list[Span]) -> None:
    try:
        compaction.compact(store.log_dir, spans)
    except StoreError as fault:
        message = f"poll {spans[-1].hi} is stored, but compacting the log failed: {fault}"
        raise StoreError(message) from fault
