"""What changed between the last poll and this one.

A row is written when a watched field of a job's record changed, when the job is absent from a
successful poll, and when it is back.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple

from fmon.schema import HEARTBEAT, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.model import Record

Key = tuple[int, int]
Row = tuple[Any, ...]

CARRIED = ("job_duration_s", "price_usd_per_h", "price_source")
"""Stored with a row that is written anyway; alone they are no change (the duration grows every poll)."""

WATCHED = tuple(
    column.name for column in SNAPSHOT if column not in HEARTBEAT and column.name not in ("is_seen", *CARRIED)
)
ROW = (*WATCHED, "is_seen", *CARRIED)
"""The fields of a row, in the order that all functions here keep; job_id and task_id are the first two."""

_SEEN = len(WATCHED)
_encoder = msgspec.msgpack.Encoder()


def fingerprint(records: Sequence[Record]) -> str:
    """Hash what is watched of all records, in their order.

    The same fingerprint as last time means that nothing changed, and costs a fifth of comparing.
    Another one may still mean so (the queue's order may change): then the rows are compared.
    """
    digest = sha256()
    for start in range(0, len(records), 100):  # few tuples alive at once, or Python's collector takes over
        some = records[start : start + 100]
        digest.update(_encoder.encode([astuple(record)[:_SEEN] for record in some]))
    return digest.hexdigest()


def changed_rows(before: Mapping[Key, Row], records: Sequence[Record]) -> list[Row]:
    """Compare the records of a successful poll with the newest row of each job.

    Parameters
    ----------
    before
        Newest row by job_id and task_id.
    records
        What this poll saw; where a key comes twice, the last one counts.

    Returns
    -------
    The rows to write, by job_id and task_id.
    """
    seen = {(record.job_id, record.task_id): record for record in records}
    rows = [
        _row(record, old)
        for key, record in seen.items()
        if (old := before.get(key)) is None or not old[_SEEN] or old[:_SEEN] != _watched(record)
    ]
    rows += [_absent(row) for key, row in before.items() if row[_SEEN] and key not in seen]
    return sorted(rows, key=lambda row: (row[0], row[1]))


def _row(record: Record, old: Row | None) -> Row:
    """Make the row of a record; the price stays the one first seen."""
    price, source = (old[-2], old[-1]) if old else (None, None)
    if price is None:
        price, source = record.price_usd_per_h, record.price_source
    # Only here the duration says something that start_at and end_at do not.
    has_duration = record.end_at is not None or record.start_at is None
    return (*_watched(record), True, record.job_duration_s if has_duration else None, price, source)


def _absent(row: Row) -> Row:
    return (*row[:_SEEN], False, *row[_SEEN + 1 :])


def _watched(record: Record) -> Row:
    """Give a record's watched fields; ``model.Record`` has them first and in this order (a test holds it)."""
    return astuple(record)[:_SEEN]
