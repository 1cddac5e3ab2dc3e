"""``variables.parquet``: jobs whose variables differ from those of their conditions; never the values.

One row per job that was compared. The file is always replaced completely; comparing again recreates it. A
marker file exists while there may be jobs to compare: it is created before the poll that first saw them is
committed, and deleted when all have been compared, so that a crash never loses a comparison and a poll
without new jobs only checks whether the file exists. The marker contains a token, which shows whether another
process has set it again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fmon.schema import VARIABLE_CHECK
from fmon.store.arrow import TYPES, parquet, table_of, values, with_keys
from fmon.store.durable import cannot, lock, remove, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fmon.store.folder import Store

LOCK_WAIT_S = 30.0
SCHEMA = pa.schema([(column.name, TYPES[column.type]) for column in VARIABLE_CHECK])


class VariableCheck(NamedTuple):
    """A row of the file, without experiment_id; ``submitted_at`` is in microseconds since the epoch."""

    job_key: int
    job_id: int
    wrong_names: list[str] | None
    poll_id: int
    submitted_at: int | None


def read_checks(store: Store) -> dict[int, VariableCheck]:
    """Return the comparisons by job_key; none if the file is missing or can't be used."""
    table = read_table(store.variables)
    if table is None:
        return {}
    columns = (values(table[name]) for name in VariableCheck._fields)
    return {row[0]: VariableCheck(*row) for row in zip(*columns, strict=True)}


def write_checks(store: Store, checks: Iterable[VariableCheck]) -> None:
    """Replace the comparisons durably.

    Raises
    ------
    StoreError
        They can't be written; the old ones are unchanged.
    """
    rows = sorted(checks, key=lambda check: check.job_key)
    columns = {name: [getattr(row, name) for row in rows] for name in VariableCheck._fields}
    columns["experiment_id"] = [store.experiment_id] * len(rows)
    write_durably(store.variables, parquet(table_of(columns, SCHEMA), options={"compression": "zstd"}))


def read_table(path: Path) -> pa.Table | None:
    """Read the file as a table; None if it is missing or can't be used."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        return with_keys(file.read(columns=SCHEMA.names, use_threads=False)).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None


def mark_unchecked(store: Store) -> None:
    """Set the marker."""
    write_durably(store.unchecked, os.urandom(8).hex().encode())


def check_again(store: Store) -> None:
    """Forget all comparisons, so that the next poll compares with the manifest as it is now."""
    mark_unchecked(store)
    remove(store.variables)


def unchecked_token(store: Store) -> str | None:
    """Return the token for ``clear_unchecked``; read it before the state. None = there is no marker."""
    try:
        return store.unchecked.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise cannot("read", store.unchecked, fault) from fault


def clear_unchecked(store: Store, seen: str | None) -> None:
    """Delete the marker, unless it was set again since its token was read."""
    with lock(store.lock_file, wait_s=LOCK_WAIT_S):
        if unchecked_token(store) == seen:
            remove(store.unchecked)
