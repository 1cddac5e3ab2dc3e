"""Find the changes between the last poll and this one.

A row is written when a watched field of a job's record changes, when the job is absent from a successful
poll, and when it reappears.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple

from fmon.schema import HEARTBEAT, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fmon.model import Record

Key = tuple[int, int]
Row = tuple[Any, ...]

CARRIED = ("job_duration_s", "price_usd_per_h", "price_source")
"""Fields that are stored but whose change alone writes no row (the duration grows with every poll)."""

WATCHED = tuple(
    column.name for column in SNAPSHOT if column not in HEARTBEAT and column.name not in ("is_seen", *CARRIED)
)
ROW = (*WATCHED, "is_seen", *CARRIED)
"""The fields of a row, in the order used here; job_key and task_id come first."""

_SEEN = len(WATCHED)
_RESOURCES = ROW.index("resources")
_MACHINE = ROW.index("machine")
_encoder = msgspec.msgpack.Encoder()


def fingerprint(records: Sequence[Record]) -> str:
    """Hash the watched fields of all records, in their order.

    If the fingerprint is the same as last time, nothing has changed; this takes a fifth of the time of a
    comparison. If it differs, the rows must be compared, since only the order may have changed. The key is
    left out: it follows from the other fields and from what is stored.
    """
    digest = sha256()
    for start in range(0, len(records), 100):  # many live tuples would trigger Python's garbage collector
        some = records[start : start + 100]
        digest.update(_encoder.encode([astuple(record)[1:_SEEN] for record in some]))
    return digest.hexdigest()


def changed_rows(before: Mapping[Key, Row], records: Sequence[Record]) -> list[Row]:
    """Compare the records of a successful poll with the newest row of each job.

    Parameters
    ----------
    before
        Newest row by job_key and task_id.
    records
        The records of this poll; of several with the same key the last one is used.

    Returns
    -------
    list of Row
        The rows to write, ordered by job_key and task_id.
    """
    seen = {(record.job_key, record.task_id): record for record in records}
    rows = [
        _row(record, old)
        for key, record in seen.items()
        if (old := before.get(key)) is None or not old[_SEEN] or old[:_SEEN] != _watched(record)
    ]
    rows += [_absent(row) for key, row in before.items() if row[_SEEN] and key not in seen]
    return sorted(rows, key=lambda row: (row[0], row[1]))


def has_new_job(before: Mapping[Key, Row], changed: Iterable[Row]) -> bool:
    """Return whether a changed row is of a job that appeared or reappeared."""
    return any(
        (old := before.get((row[0], row[1]))) is None or (row[_SEEN] and not old[_SEEN]) for row in changed
    )


def _row(record: Record, old: Row | None) -> Row:
    """Return the row of a record."""
    price, source = _price(record, old)
    # Otherwise the duration is redundant: start_at and end_at give it.
    has_duration = record.end_at is not None or record.start_at is None
    return (*_watched(record), True, record.job_duration_s if has_duration else None, price, source)


def _price(record: Record, old: Row | None) -> tuple[float | None, str | None]:
    """Return the price of the machine that a record names, otherwise that of the job's last machine.

    The price of a request is only a guess, so it never replaces that of a machine: the price of an ended
    job, whose machine is gone, is that of the machine that it had.
    """
    own = record.price_usd_per_h, record.price_source
    if old is None or record.machine is not None or old[_RESOURCES] != record.resources:
        return own
    if old[_MACHINE] is None and old[-2] is None:
        return own
    return old[-2], old[-1]


def _absent(row: Row) -> Row:
    return (*row[:_SEEN], False, *row[_SEEN + 1 :])


def _watched(record: Record) -> Row:
    """Return a record's watched fields; ``model.Record`` has them first, in this order (a test checks it)."""
    return astuple(record)[:_SEEN]
