"""Describe the views and their columns from their comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fmon.warehouse.result import rows
from fmon.warehouse.views import COMPUTED, VIEWS, make_views, open_empty, text

if TYPE_CHECKING:
    import duckdb

    from fmon.warehouse.result import Row

COLUMNS = ["view", "column", "type", "unit", "meaning", "grain"]

COMMENTED = re.compile(r"(?P<meaning>.*) \[(?P<unit>[^\]]+)\]")

DESCRIBED = """
select view_name as relation, comment from duckdb_views() where not internal
union all
select table_name, comment from duckdb_tables() where comment is not null
union all
select function_name, comment from duckdb_functions()
where function_type = 'table_macro' and not internal
"""

MACRO = "select * from {}({})"


class Column(NamedTuple):
    """A column as its comment describes it."""

    name: str
    type: str
    unit: str
    meaning: str


class Relation(NamedTuple):
    """A view, macro or table as its comments describe it."""

    name: str
    call: str
    purpose: str
    grain: str
    columns: list[Column]
    is_table: bool


def dictionary() -> tuple[list[str], list[Row]]:
    """Return the columns of all views as column names and rows to print; grain: view, column."""
    listed = [
        dict(zip(COLUMNS, (relation.call, *column[:3], column.meaning, relation.grain), strict=True))
        for relation in relations()
        if not relation.is_table
        for column in relation.columns
    ]
    return COLUMNS, listed


def relations() -> list[Relation]:
    """Describe everything in ``sql/``, in the order of ``VIEWS``."""
    con = open_empty()
    make_views(con, computed=COMPUTED)  # to bind views of views of views takes seconds
    found = {row["relation"]: row for row in rows(con, DESCRIBED)}
    described = [_relation(con, name, **found[name]) for name in VIEWS]
    con.close()
    return described


def _relation(con: duckdb.DuckDBPyConnection, name: str, *, comment: str, relation: str) -> Relation:
    """Parse the comments of a relation; those of a macro are the lines of its only comment."""
    head, *lines = comment.split("\n")
    purpose, _, grain = head.partition("; grain: ")
    signature = re.search(rf"macro {name}(\(.*?\))", text(name))
    if signature:
        nulls = ", ".join(["null"] * (signature[1].count(",") + 1))
        types = {column[0]: str(column[1]) for column in con.execute(MACRO.format(name, nulls)).description}
        comments = dict(line.split(": ", 1) for line in lines)
    else:
        query = "select column_name, data_type, comment from duckdb_columns() where table_name = ?"
        listed = con.execute(query, [name]).fetchall()
        types = {column: kind for column, kind, _ in listed}
        comments = {column: comment or "" for column, _, comment in listed}
    columns = [
        Column(column, types[column], *_unit_and_meaning(comments.get(column, ""))) for column in types
    ]
    is_table = f"replace table {name}" in text(name)
    return Relation(name, name + (signature[1] if signature else ""), purpose, grain, columns, is_table)


def _unit_and_meaning(comment: str) -> tuple[str, str]:
    """Split a column's comment into unit and meaning; the unit is empty if there is none."""
    found = COMMENTED.fullmatch(comment)
    return (found["unit"], found["meaning"]) if found else ("", comment)
