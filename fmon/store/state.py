"""``state.parquet``: the newest row of each job task, so that a poll need not read the log.

It can always be rebuilt from the log. It is written BEFORE the log's file, which is the commit: ``poll_id``
in its footer is the poll it includes. A state that is ahead of the log belongs to a poll that was never
committed and is discarded at once, since the next poll gets the same id and would make it look valid. So no
committed change is ever newer than the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fmon.store.arrow import LOG, STATE, STORE_SCHEMA, parquet, read_log_file, values
from fmon.store.changes import ROW
from fmon.store.durable import remove, remove_temps, write_durably
from fmon.store.reading import listing, steadily

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fmon.store.changes import Key, Row
    from fmon.store.folder import Store

OLD_TEMP_S = 3600.0
"""Age at which a temporary file is removed [s]: a younger one may be a manifest that is being written."""

OPTIONS = {"compression": "lz4", "write_statistics": False}


class Header(NamedTuple):
    """The footer of the state: the poll it includes, and the fingerprint of that poll's records."""

    poll_id: int
    fingerprint: str


def header(store: Store, newest: int) -> Header | None:
    """Read the state's footer; None if there is no state that matches the log.

    Parameters
    ----------
    store
        The experiment, locked.
    newest
        Newest poll_id of the log; a newer state is deleted.
    """
    try:
        notes = pq.read_metadata(store.state).metadata or {}
        found = Header(int(notes[b"poll_id"]), notes[b"fingerprint"].decode())
        is_current = int(notes[b"fmon_store_schema"]) == STORE_SCHEMA
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    if found.poll_id > newest:
        remove(store.state)
        return None
    return found if is_current else None


def load(store: Store, found: Header | None) -> pa.Table:
    """Read the state; rebuild it from the log if missing, damaged or written by another fmon version."""
    if found:
        try:
            table = pq.ParquetFile(store.state, page_checksum_verification=True).read(use_threads=False)
            if table.schema.equals(STATE, check_metadata=False):
                return table.replace_schema_metadata(None)
        except (pa.ArrowException, OSError):
            pass
    return steadily(store, rebuild)


def read_columns(store: Store, names: list[str]) -> list[list[Any]]:
    """Read some columns of the state, or of the log if the state is missing or damaged; without a lock."""
    try:
        table = pq.ParquetFile(store.state).read(columns=names, use_threads=False)
        if table.column_names != names:  # written by an older fmon
            table = load(store, None)
    except (OSError, pa.ArrowException):
        table = load(store, None)
    return [values(table[name]) for name in names]


def save(store: Store, table: pa.Table, found: Header) -> None:
    """Write the state durably, and remove temporary files of killed writers."""
    remove_temps(store.path, listing(store.path), older_than_s=OLD_TEMP_S)
    notes = {"poll_id": str(found.poll_id), "fingerprint": found.fingerprint}
    write_durably(store.state, parquet(table, options=OPTIONS, notes=notes))


def rebuild(paths: Sequence[Path]) -> pa.Table:
    """Build the state from the files of the log, oldest first."""
    newest = [_newest_rows(read_log_file(path)) for path in paths]
    return _newest_rows(pa.concat_tables([LOG.empty_table(), *newest])).select(STATE.names)


def rows_of(table: pa.Table) -> dict[Key, Row]:
    """Return the rows of a state by job_key and task_id, as ``changes`` compares them."""
    rows = zip(*(values(table[name]) for name in ROW), strict=True)
    return {(row[0], row[1]): row for row in rows}


def merged(table: pa.Table, changed: pa.Table) -> pa.Table:
    """Replace the changed rows of a state, and add the new ones."""
    return _newest_rows(pa.concat_tables([table, changed.select(STATE.names)]))


def _newest_rows(table: pa.Table) -> pa.Table:
    """Return the last row of each job task, by job_key and task_id, without heartbeats."""
    last = {
        (job_key, task_id): number
        for number, (job_key, task_id) in enumerate(
            zip(values(table["job_key"]), values(table["task_id"]), strict=True)
        )
        if job_key is not None
    }
    return table.take(pa.array([last[key] for key in sorted(last)], pa.int64()))
