"""Tables of the log and the state, and their Parquet files.

The log has two kinds of rows in one table: a heartbeat has no job_id, and a job row has only the poll columns
of a heartbeat. So one poll is one file, stored by one rename. The file of a poll without changes omits the
columns of jobs, which would be null: ``read_log_file`` adds them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmon.errors import StoreError
from fmon.schema import HEARTBEAT, SNAPSHOT, Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

STORE_SCHEMA = 2
"""Incremented when an older fmon would misread the files; not for a new column."""

TYPES = {
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "varchar[]": pa.list_(pa.string()),
    "map(varchar, double)": pa.map_(pa.string(), pa.float64()),
}


CODED = pa.dictionary(pa.int32(), pa.string())


def _schema(columns: Iterable[Column]) -> pa.Schema:
    return pa.schema([(column.name, TYPES[column.type]) for column in columns])


BEAT = _schema(HEARTBEAT)
LOG = _schema(dict.fromkeys((*HEARTBEAT, *SNAPSHOT)))
STATE = _schema(SNAPSHOT)

# For files that are kept for years; the files of single polls are too small to benefit.
PACKED: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 9,
    "use_dictionary": [field.name for field in LOG if field.type in (pa.string(), pa.float64())],
    "column_encoding": {
        field.name: "DELTA_BINARY_PACKED" for field in LOG if field.type in (pa.int64(), TYPES["timestamptz"])
    },
}
SMALL: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}


def table_of(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Build a table; missing columns are null. Times are microseconds since the epoch."""
    count = max((len(values) for values in columns.values()), default=0)
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def parquet(
    *parts: pa.Table, options: Mapping[str, Any], notes: Mapping[str, str] | None = None
) -> memoryview:
    """Write tables with the same schema to one Parquet file in memory.

    Parameters
    ----------
    parts
        Each gets its own row groups: see ``read_log_file``.
    options
        Options of pyarrow's writer.
    notes
        Metadata for the file's footer, next to the store's schema version.
    """
    sink = pa.BufferOutputStream()
    # store_schema would add 2.5 kB of Arrow's own schema to every file; Parquet's types are sufficient.
    writer = pq.ParquetWriter(sink, parts[0].schema, store_schema=False, write_page_checksum=True, **options)
    with writer:
        for part in parts:
            writer.write_table(part)
        writer.add_key_value_metadata({"fmon_store_schema": str(STORE_SCHEMA), **(notes or {})})
    return memoryview(sink.getvalue())


def read_log_file(
    path: Path,
    columns: list[str] | None = None,
    *,
    kind: str | None = None,
    coded: Sequence[str] = (),
) -> pa.Table:
    """Read one file of the log.

    Parameters
    ----------
    path, columns
        The file, and the columns to read; None = all.
    kind
        The rows to read: heartbeat or snapshot. Row groups without such rows are skipped (compaction
        separates both kinds), others are read completely.
    coded
        Text columns to keep as dictionaries: a year repeats a few words half a million times.

    Raises
    ------
    FileNotFoundError
        Compaction has deleted it: see ``reading.steadily``.
    StoreError
        It is damaged, or written by a newer version of fmon.
    """
    try:
        file = pq.ParquetFile(path, read_dictionary=list(coded), page_checksum_verification=True)
        version = int((file.metadata.metadata or {}).get(b"fmon_store_schema", b"0"))
        if version <= STORE_SCHEMA:
            return _conform(file, _schema_of(columns, coded), _groups_with(file, kind))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as fault:
        lo, _, hi = path.stem.partition("-")
        message = (
            f"{path} is damaged ({' '.join(str(fault).split())[:200]}); restore it from a backup, or move it "
            f"away, which loses polls {int(lo)} to {int(hi)}, and run fmon poll {path.parent.parent.name}"
        )
        raise StoreError(message) from fault
    message = (
        f"{path} was written by a newer fmon (store schema {version}, supported {STORE_SCHEMA}); upgrade fmon"
    )
    raise StoreError(message)


def with_keys(table: pa.Table) -> pa.Table:
    """Add the job keys to a table that an older fmon wrote: then they were the ids."""
    return table if "job_key" in table.column_names else table.append_column("job_key", table["job_id"])


def _schema_of(columns: list[str] | None, coded: Sequence[str]) -> pa.Schema:
    """Return the schema of some columns of the log, with the coded ones as dictionaries."""
    return pa.schema(
        [(name, CODED if name in coded else LOG.field(name).type) for name in columns or LOG.names]
    )


def _groups_with(file: pq.ParquetFile, kind: str | None) -> list[int]:
    """Return the row groups that may contain rows of a kind, by the statistics of job_id."""
    groups = range(file.metadata.num_row_groups)
    if kind is None or "job_id" not in file.schema.names:
        return list(groups)
    at = file.schema.names.index("job_id")
    chosen = []
    for number in groups:
        group = file.metadata.row_group(number)
        statistics = group.column(at).statistics
        has_count = statistics is not None and statistics.has_null_count
        has_none = 0 if kind == "heartbeat" else group.num_rows
        if not has_count or statistics.null_count != has_none:
            chosen.append(number)
    return chosen


def _conform(file: pq.ParquetFile, schema: pa.Schema, groups: list[int]) -> pa.Table:
    """Read the columns of a schema; those that the file lacks (no changes, older fmon) are null.

    Before job keys, every job had the key that the first job with its id has now.
    """
    source = {name: name for name in schema.names}
    if "job_key" not in file.schema.names:
        source["job_key"] = "job_id"
    have = {name for name in schema.names if source[name] in file.schema.names}
    names = list(dict.fromkeys(source[name] for name in schema.names if name in have))
    table = file.read_row_groups(groups, columns=names, use_threads=False)
    count = table.num_rows if names else sum(file.metadata.row_group(number).num_rows for number in groups)
    arrays = [
        _typed(table[source[field.name]], field.type) if field.name in have else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _typed(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """Cast a column if needed; casting loads pyarrow.compute, which a poll without changes avoids."""
    return column if column.type == target else column.cast(target)


def values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values, with times as microseconds since the epoch."""
    if not pa.types.is_timestamp(column.type):
        listed: list[Any] = column.to_pylist()
        return listed
    # A view, not a cast: a cast loads pyarrow.compute, 9 MB that a poll without changes does not need.
    return [value for chunk in column.chunks for value in chunk.view(pa.int64()).to_pylist()]
