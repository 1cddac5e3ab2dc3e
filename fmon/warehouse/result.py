"""Query results as Python values, without pandas, polars and pytz (DuckDB's own fetch wants it for times)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa


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
    found = con.sql(sql, params=parameters)
    return [] if found is None else _listed(found.to_arrow_table())


def query_rows(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Run a person's query: column names (no row has to come back to know them) and rows.

    Raises
    ------
    ConfigError
        DuckDB can't run it: what it says.
    """
    try:
        found = con.sql(sql)
        if found is None:
            return [], []
        table = found.to_arrow_table()
    except duckdb.Error as fault:
        raise ConfigError(f"the query can't be run: {fault}") from fault
    names = _distinct(table.column_names)
    return names, _listed(table.rename_columns(names))


def _distinct(names: list[str]) -> list[str]:
    """Tell columns of the same name (select * over a join) apart: a row is a dict."""
    distinct: list[str] = []
    for name in names:
        number, new = 1, name
        while new in distinct:
            number, new = number + 1, f"{name}_{number}"
        distinct.append(new)
    return distinct


def _listed(table: pa.Table) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    return listed
