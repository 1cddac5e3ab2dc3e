"""Write the rows of a query to a CSV or Parquet file with DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import duckdb

from fmon.errors import ConfigError
from fmon.warehouse.result import distinct

if TYPE_CHECKING:
    from pathlib import Path

# RFC 4180 ends lines with CR LF.
COPY = {
    "csv": r"copy exported to '{}' (format csv, header, new_line '\r\n')",
    "parquet": "copy exported to '{}' (format parquet, compression zstd)",
}
NESTED = ("MAP(", "STRUCT(", "UNION(")

FileFormat = Literal["csv", "parquet"]


def export(con: duckdb.DuckDBPyConnection, query: str, file_format: FileFormat, path: Path) -> None:
    """Write the rows of the user's query to a file, without loading all of them into memory.

    Parameters
    ----------
    con
        The connection that ``connect`` returned.
    query
        The query.
    file_format
        Parquet keeps all types; an integer of more than 64 bits becomes an exact decimal. CSV follows RFC
        4180 in UTF-8; times are 2026-03-22T05:08:00Z, maps and lists are JSON, null is an empty field and
        empty text ``""``.
    path
        The file.

    Raises
    ------
    ConfigError
        DuckDB can't run the query, with its error; or the statement returns no rows.
    """
    try:
        found = con.sql(query)
        if found is None:
            raise ConfigError("the statement returns no rows to write; use a select")
        columns = [
            f"{_value(n, str(kind), file_format)} as {_quoted(name)}"
            for n, (name, kind) in enumerate(zip(distinct(found.columns), found.types, strict=True), start=1)
        ]
        found.project(", ".join(columns)).create_view("exported")
        con.execute(COPY[file_format].format(str(path).replace("'", "''")))
    except duckdb.Error as fault:
        raise ConfigError(f"the query can't be run: {fault}") from fault


def _value(number: int, kind: str, file_format: FileFormat) -> str:
    """Return the SQL that converts a column to a type that the format supports."""
    column = f"#{number}"
    if file_format == "parquet":
        # DuckDB would write the sum of integers as a double.
        return f"{column}::decimal(38, 0)" if kind in ("HUGEINT", "UHUGEINT") else column
    if kind == "TIMESTAMP WITH TIME ZONE":
        text = f"strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S.%f')"
        return rf"regexp_replace({text}, '\.?0+$', '') || 'Z'"
    return f"to_json({column})::varchar" if kind.startswith(NESTED) or kind.endswith("[]") else column


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
