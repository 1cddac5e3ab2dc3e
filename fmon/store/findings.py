"""``findings.parquet``: why each failed attempt failed.

The file is always replaced completely; it can be recreated from the logs of the jobs and the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmon.schema import FINDING
from fmon.store.arrow import TYPES, parquet, table_of, values, with_keys
from fmon.store.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fmon.store.folder import Store

FINDINGS_SCHEMA = 2
"""Incremented when the meaning of a column changes; findings of another version are recreated."""

Key = tuple[int, int]
Finding = dict[str, Any]

SCHEMA = pa.schema([(column.name, TYPES[column.type]) for column in FINDING])
OPTIONS = {"compression": "zstd"}


def read_findings(store: Store) -> dict[Key, Finding]:
    """Return the findings by job_key and task_id; none if the file can't be used.

    It may be missing, damaged or written by another fmon version. Times are microseconds since the epoch.
    """
    table = read_table(store.findings)
    if table is None:
        return {}
    rows = zip(*(values(table[name]) for name in SCHEMA.names), strict=True)
    found = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    return {(row["job_key"], row["task_id"]): row for row in found}


def exit_code_of(store: Store, key: int) -> int | None:
    """Return the exit code of a failed job, of several tasks that of the first; None if it is not known."""
    table = read_table(store.findings)
    if table is None:
        return None
    columns = (values(table[name]) for name in ("job_key", "task_id", "exit_code"))
    found = {task: code for job, task, code in zip(*columns, strict=True) if job == key and code is not None}
    return found[min(found)] if found else None


def write_findings(store: Store, findings: Iterable[Finding]) -> None:
    """Replace the findings durably.

    Raises
    ------
    StoreError
        They can't be written; the old ones are unchanged.
    """
    rows = sorted(findings, key=lambda row: (row["job_key"], row["task_id"]))
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    notes = {"findings_schema": str(FINDINGS_SCHEMA)}
    write_durably(store.findings, parquet(table_of(columns, SCHEMA), options=OPTIONS, notes=notes))


def read_table(path: Path) -> pa.Table | None:
    """Read a file of findings; None if it is missing or this version of fmon can't use it."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        notes = file.metadata.metadata or {}
        if int(notes.get(b"findings_schema", b"0")) != FINDINGS_SCHEMA:
            return None
        return with_keys(file.read(columns=SCHEMA.names, use_threads=False)).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
