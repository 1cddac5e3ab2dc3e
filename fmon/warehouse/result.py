"""Query results as Python values, without pandas, polars and pyarrow: 5 ms instead of 500."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZONED = "TIMESTAMP WITH TIME ZONE"


def rows(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Run a query.

    Parameters
    ----------
    con : what ``connect`` gave
    sql : the query
    parameters : values of its ``?`` or ``$name``

    Returns
    -------
    list
        One dict per row: Decimal, datetime (UTC), dict for a map, None for null.
    """
    return _listed(con.sql(sql, params=parameters))[1]


def query_rows(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Run a person's query: column names (no row has to come back to know them) and rows.

    Raises
    ------
    ConfigError
        DuckDB can't run it: what it says.
    """
    try:
        return _listed(con.sql(sql))
    except duckdb.Error as fault:
        raise ConfigError(f"the query can't be run: {fault}") from fault


def _listed(found: duckdb.DuckDBPyRelation | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Fetch names and rows; a statement without a result has neither."""
    if found is None:
        return [], []
    names = distinct(found.columns)
    types = [str(kind) for kind in found.types]
    zoned = [name for name, kind in zip(names, types, strict=True) if ZONED in kind]
    if zoned:
        # DuckDB asks for pytz to fetch a time with a zone. The session is in UTC: drop it there, add it here.
        columns = (f"#{n}::{kind.replace(ZONED, 'TIMESTAMP')}" for n, kind in enumerate(types, start=1))
        found = found.project(", ".join(columns))
    listed = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in listed:
        for name in zoned:
            row[name] = _in_utc(row[name])
    return names, listed


def distinct(names: list[str]) -> list[str]:
    """Tell columns of the same name (select * over a join) apart: a row is a dict."""
    distinct: list[str] = []
    for name in names:
        number, new = 1, name
        while new in distinct:
            number, new = number + 1, f"{name}_{number}"
        distinct.append(new)
    return distinct


def _in_utc(value: Any) -> Any:
    """Give times their zone, in lists and maps too."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [_in_utc(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_utc(item) for key, item in value.items()}
    return value
