"""Query results as Python values, without pandas, polars and pyarrow, which take 500 ms to import."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import starmap
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import msgspec

from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Parameters = Sequence[Any] | Mapping[str, Any] | None

ZONED = "TIMESTAMP WITH TIME ZONE"

Row = dict[str, Any]
"""A row that is only passed on, to JSON, a page or a terminal; code that computes uses ``typed_rows``."""

RowType = TypeVar("RowType", bound=msgspec.Struct)


def typed_rows(
    con: duckdb.DuckDBPyConnection, sql: str, row_type: type[RowType], parameters: Parameters = None
) -> list[RowType]:
    """Run a query and return typed rows, for code that computes with them.

    Parameters
    ----------
    con
        The connection that ``connect`` returned.
    sql
        The query.
    row_type
        A struct whose fields are the columns of the query, in any order.
    parameters
        Values for ``?`` or ``$name`` in the query.

    Returns
    -------
    list
        One struct per row, with values as in ``rows``. The types are not checked here; a test runs every
        query of the package and checks them.

    Raises
    ------
    TypeError
        The columns of the query are not the fields of the struct.
    """
    return list(starmap(row_type, _fetched(con, sql, row_type.__struct_fields__, parameters, row_type)))


def grouped_rows(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    row_type: type[RowType],
    *,
    by: str,
    parameters: Parameters = None,
) -> dict[Any, list[RowType]]:
    """Run a query and group its typed rows by one of its columns.

    Parameters
    ----------
    con, sql, row_type, parameters
        As in ``typed_rows``.
    by
        The column to group by, which is not a field of the struct.
    """
    grouped: dict[Any, list[RowType]] = {}
    for key, *values in _fetched(con, sql, (by, *row_type.__struct_fields__), parameters, row_type):
        grouped.setdefault(key, []).append(row_type(*values))
    return grouped


def _fetched(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    names: tuple[str, ...],
    parameters: Parameters,
    row_type: type[msgspec.Struct],
) -> Iterable[Sequence[Any]]:
    """Fetch these columns, in this order; refuse any other ones."""
    found = con.sql(sql, params=parameters)
    columns = [] if found is None else found.columns
    if sorted(columns) != sorted(names):
        message = f"{row_type.__name__} needs the columns {sorted(names)}, its query has {sorted(columns)}"
        raise TypeError(message)
    found, zoned = _without_zones(found, [columns.index(name) for name in names])
    if not zoned:
        return found.fetchall()
    return (_zoned(row, zoned) for row in found.fetchall())


def _zoned(row: tuple[Any, ...], positions: list[int]) -> list[Any]:
    """Add the time zone to the times of a row."""
    values = list(row)
    for position in positions:
        values[position] = _in_utc(values[position])
    return values


def column(con: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters = None) -> list[Any]:
    """Run a query with one column and return its values.

    Parameters
    ----------
    con, sql, parameters
        As in ``typed_rows``.
    """
    return [value for row in rows(con, sql, parameters) for (value,) in (row.values(),)]


def rows(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Parameters = None,
) -> list[Row]:
    """Run a query and return its rows as dicts, to be passed on.

    Parameters
    ----------
    con
        The connection that ``connect`` returned.
    sql
        The query.
    parameters
        Values for ``?`` or ``$name`` in the query.

    Returns
    -------
    list
        One dict per row: Decimal, datetime (UTC), dict for a map, None for null.
    """
    return _listed(con.sql(sql, params=parameters))[1]


def query_rows(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[Row]]:
    """Run the user's query; return its column names, known even without rows, and its rows.

    Raises
    ------
    ConfigError
        DuckDB can't run the query, with its error.
    """
    try:
        return _listed(con.sql(sql))
    except duckdb.Error as fault:
        raise ConfigError(f"the query can't be run: {fault}") from fault


def _listed(found: duckdb.DuckDBPyRelation | None) -> tuple[list[str], list[Row]]:
    """Fetch the column names and the rows; a statement without a result has neither."""
    if found is None:
        return [], []
    names = distinct(found.columns)
    found, zoned = _without_zones(found, range(len(names)))
    listed = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in listed:
        for number in zoned:
            row[names[number]] = _in_utc(row[names[number]])
    return names, listed


def _without_zones(
    found: duckdb.DuckDBPyRelation, order: Sequence[int]
) -> tuple[duckdb.DuckDBPyRelation, list[int]]:
    """Reorder the columns and drop the time zones; return the positions of columns with times as well.

    DuckDB requires pytz to fetch a time with a zone. The session is in UTC, so the zone can be added here.
    """
    types = [str(found.types[number]) for number in order]
    zoned = [position for position, kind in enumerate(types) if ZONED in kind]
    if not zoned and list(order) == list(range(len(types))):
        return found, zoned
    columns = (
        f"#{number + 1}::{kind.replace(ZONED, 'TIMESTAMP')}"
        for number, kind in zip(order, types, strict=True)
    )
    return found.project(", ".join(columns)), zoned


def distinct(names: list[str]) -> list[str]:
    """Make column names unique (select * over a join), since a row is a dict."""
    distinct: list[str] = []
    for name in names:
        number, new = 1, name
        while new in distinct:
            number, new = number + 1, f"{name}_{number}"
        distinct.append(new)
    return distinct


def _in_utc(value: Any) -> Any:
    """Add the time zone to times, also in lists and maps."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [_in_utc(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_utc(item) for key, item in value.items()}
    return value
