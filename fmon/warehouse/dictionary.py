"""What the views say about themselves: their comments, as rows and as docs/views.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.warehouse.reads import READS
from fmon.warehouse.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from fmon.warehouse.result import Row

import re
from typing import TYPE_CHECKING, NamedTuple

from fmon.warehouse.result import rows
from fmon.warehouse.views import make_views, open_empty, text

COLUMNS = ["view", "column", "type", "unit", "meaning", "grain"]

COMMENTED = re.compile(r"(?P<meaning>.*) \[(?P<unit>[^\]]+)\]")

DESCRIBED = """
select view_name as relation, comment, false as is_table from duckdb_views() where not internal
union all
select table_name, comment, true from duckdb_tables() where comment is not null
union all
select function_name, comment, false from duckdb_functions()
where function_type = 'table_macro' and not internal
"""

MACRO = "select * from {}({})"

INTRODUCTION = """\
# The views

Generated from the comments in `sql/` (`make docs`); `fmon views` prints the same. Reach them with
`fmon sql QUERY` or `fmon.connect()`. Times are UTC, money is decimal. How a view comes about is said in its
file in `sql/`.
"""


class Column(NamedTuple):
    """A column as its comment describes it."""

    name: str
    type: str
    unit: str
    meaning: str


class Relation(NamedTuple):
    """A view, or the macro or table among them, as its comments describe it."""

    name: str
    call: str
    purpose: str
    grain: str
    columns: list[Column]
    is_table: bool


def dictionary() -> tuple[list[str], list[Row]]:
    """List the columns of all views: names and rows for a command to print; grain: view, column."""
    listed = [
        dict(zip(COLUMNS, (relation.call, *column[:3], column.meaning, relation.grain), strict=True))
        for relation in relations()
        if not relation.is_table
        for column in relation.columns
    ]
    return COLUMNS, listed


def markdown() -> str:
    """Write docs/views.md."""
    described = relations()
    return "\n".join([INTRODUCTION, picture(described), *map(_section, described)])


def relations() -> list[Relation]:
    """Describe everything in ``sql/``, in the order of ``VIEWS``."""
    con = open_empty()
    make_views(con)
    found = {row["relation"]: row for row in rows(con, DESCRIBED)}
    described = [_relation(con, name, **found[name]) for name in VIEWS]
    con.close()
    return described


def _relation(
    con: duckdb.DuckDBPyConnection, name: str, *, comment: str, is_table: bool, relation: str
) -> Relation:
    """Take a relation's comments apart; a macro's columns stand in the lines of its only comment."""
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
        comments = {column: said or "" for column, _, said in listed}
    columns = [Column(column, types[column], *_said(comments.get(column, ""))) for column in types]
    return Relation(name, name + (signature[1] if signature else ""), purpose, grain, columns, is_table)


def _said(comment: str) -> tuple[str, str]:
    """Part a column's comment into unit and meaning; without a unit, the unit is empty."""
    found = COMMENTED.fullmatch(comment)
    return (found["unit"], found["meaning"]) if found else ("", comment)


def _section(relation: Relation) -> str:
    lines = [f"## {relation.call}", "", f"{relation.purpose}.", "", f"Grain: {relation.grain}", ""]
    lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
    lines += [
        f"| {column.name} | {column.type.lower()} | {column.unit} | {column.meaning} |"
        for column in relation.columns
    ]
    return "\n".join([*lines, ""])


ENTITIES = ("experiment", "poll", "condition", "job", "cause")
"""The views whose keys the others carry."""


TEXT = """\
## How the views relate

Each view joins to these views by key: `||--o|` at most one row of it, `||--o{{` any number.
Everything has an experiment; the line is drawn only where nothing closer is. Macros are left out: what they
are called with says what they are about.

```mermaid
erDiagram
{entities}
```

And which view is made of which, macros too:

```mermaid
flowchart LR
{flow}
```
"""


def picture(relations: Sequence[Relation]) -> str:
    """Draw the views by their keys, and by what each reads.

    Parameters
    ----------
    relations : of ``dictionary.relations``, in the order of ``VIEWS``
    """
    views = [each for each in relations if "(" not in each.call and each.grain.startswith("experiment_id")]
    entities = [*_keys(views), *_lines(views)]
    flow = [f"{source} --> {view}" for view in VIEWS for source in VIEWS if source in READS[view]]
    return TEXT.format(entities=_indented(entities), flow=_indented(flow))


def _keys(views: Iterable[Relation]) -> Iterator[str]:
    """Write the keys of the entities; of the other views their sections say them."""
    for view in views:
        if view.name in ENTITIES:
            types = {column.name: column.type.lower() for column in view.columns}
            yield f"{view.name} {{"
            yield from (f"    {types[name]} {name} PK" for name in view.grain.split(", "))
            yield "}"


def _lines(views: Sequence[Relation]) -> Iterator[str]:
    keys = {view.name: set(view.grain.split(", ")) for view in views}
    for view in views:
        columns = {column.name for column in view.columns}
        above = [name for name in ENTITIES if name != view.name and keys[name] <= columns]
        for name in above:
            if any(keys[name] < keys[closer] for closer in above):
                continue
            end = "o|" if keys[name] == keys[view.name] else "o{"
            yield f"{name} ||--{end} {view.name} : has"


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
