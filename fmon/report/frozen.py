"""Views computed once where several queries read them (floor 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb


def freeze(con: duckdb.DuckDBPyConnection, views: Iterable[str]) -> None:
    """Put the rows of views into temp tables of the same names, which hide the views, from other views too.

    Parameters
    ----------
    con : views of ``warehouse.connect``; what they read does not change while it is open
    views : in dependency order
    """
    for view in views:
        con.execute(f"create temp table {view} as select * from main.{view}")  # noqa: S608 - our own names
