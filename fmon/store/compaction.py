"""Compaction: merge the many small files of the log into a few large ones.

An input is deleted only after a durable larger file has covered it for a grace period, so that a reader that
listed the folder before does not miss a file unless it is very slow; it then lists again.
docs/decisions/0006 explains why tiers go by polls and not by time.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from fmon.store.arrow import PACKED, parquet, read_log_file
from fmon.store.durable import lock, write_durably
from fmon.store.reading import Span, listing, spans_of, widest

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.store.folder import Store

TIERS = (60, 1_440, 43_200)
"""Number of polls in a file of each tier: an hour, a day and a month with one poll per minute."""

GRACE_S = 600.0
GRACE_POLLS = TIERS[1]
"""Files that are this many polls old have no grace period: a replay covers days in seconds."""

LOCK_WAIT_S = 30.0


def compact(log_dir: Path, spans: list[Span], *, grace_s: float | None = None) -> None:
    """Merge the closed blocks of each tier and delete files that were covered for long enough.

    Parameters
    ----------
    log_dir, spans
        The log, locked by the caller, and all its files.
    grace_s
        How long a covered file is kept for active readers [s]; default ``GRACE_S``.
    """
    live = widest(spans)
    newest = live[-1].hi
    if newest % TIERS[0] == 0:
        made = [merge(log_dir, group) for group in closed_blocks(live)]
        live = widest([*live, *made])
    _sweep(log_dir, live, set(spans).difference(live), grace_s=GRACE_S if grace_s is None else grace_s)


def compact_fully(store: Store) -> None:
    """Merge the log into one file at once: an ended experiment is not polled and so never compacted again."""
    with lock(store.lock_file, wait_s=LOCK_WAIT_S):
        spans = spans_of(listing(store.log_dir))
        live = widest(spans)
        if len(live) > 1:
            live = [merge(store.log_dir, live)]
        _sweep(store.log_dir, live, set(spans).difference(live), grace_s=0)


def close(store: Store, *, now: datetime) -> None:
    """Mark an experiment as ended and merge its log into one file, which stays cheap to read.

    Parameters
    ----------
    store
        The experiment; if it was closed before, it keeps the time of its end.
    now
        The current time [UTC].
    """
    compact_fully(store)
    if not store.is_closed:
        write_durably(store.closed_mark, now.isoformat().encode())
    store.plan_check(now)


def close_for_good(store: Store) -> None:
    """Close an experiment that is never checked again: its jobs are in no queue."""
    close(store, now=datetime.now(UTC))
    store.check_no_more()


def closed_blocks(live: list[Span]) -> list[list[Span]]:
    """Group live files into the blocks that no further poll can extend, largest tier first.

    Examples
    --------
    >>> hours = [Span(60 * hour + 1, 60 * hour + 60) for hour in range(25)]
    >>> [(len(group), group[0].lo, group[-1].hi) for group in closed_blocks(hours)]
    [(24, 1, 1440)]
    """
    newest = live[-1].hi
    groups = []
    rest = live
    for size in reversed(TIERS):
        blocks = defaultdict(list)
        for span in rest:
            block = (span.lo - 1) // size
            is_closed = span.hi <= (block + 1) * size <= newest
            blocks[block if is_closed else None].append(span)
        rest = blocks.pop(None, [])
        groups += [group for group in blocks.values() if len(group) > 1]
    return groups


def merge(log_dir: Path, group: list[Span]) -> Span:
    """Merge a group of adjacent files into one: heartbeats first, then job rows, both by poll."""
    table = pa.concat_tables([read_log_file(log_dir / span.name) for span in group])
    is_heartbeat = table["job_id"].is_null()
    kinds = (is_heartbeat, table["job_id"].is_valid())
    parts = [part.combine_chunks() for part in map(table.filter, kinds) if part.num_rows]
    made = Span(group[0].lo, group[-1].hi)
    write_durably(log_dir / made.name, parquet(*parts, options=PACKED))
    return made


def _sweep(log_dir: Path, live: list[Span], covered: set[Span], *, grace_s: float) -> None:
    """Delete covered files whose grace period is over."""
    if not covered:
        return
    newest = live[-1].hi
    starts = [cover.lo for cover in live]
    is_over: dict[Span, bool] = {}
    for span in covered:
        cover = live[bisect_right(starts, span.lo) - 1]
        if cover not in is_over:
            is_far_back = newest - cover.hi >= GRACE_POLLS
            is_over[cover] = is_far_back or not grace_s or _age_s(log_dir / cover.name) > grace_s
        if is_over[cover]:
            with suppress(OSError):  # harmless: the next poll tries again
                (log_dir / span.name).unlink()


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime
