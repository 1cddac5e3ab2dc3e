"""Generate docs/views.md from the comments in `sql/`: how they relate, then each one with its columns."""

from collections.abc import Iterable, Iterator, Sequence

from fmon.warehouse.dictionary import Relation, relations
from fmon.warehouse.views import VIEWS
from tests.tools.reads import parsed_reads

INTRODUCTION = """\
# The views

Generated from the comments in `sql/` (`make docs`); `fmon views` prints the same. Query the views with
`fmon sql QUERY` or `fmon.connect()`. Times are UTC, money is decimal. The file of a view in `sql/` explains
how it is computed.
"""


def markdown() -> str:
    """Write docs/views.md."""
    described = relations()
    return "\n".join([INTRODUCTION, picture(described), *map(_section, described)])


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

Each view joins to these views by key: `||--o|` to at most one row, `||--o{{` to any number of rows.
Every view has an experiment; the line is drawn only if the view has no more specific key. Macros are not
shown: their arguments name the experiments.

```mermaid
erDiagram
{entities}
```

This is what each view and macro reads:

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
    reads = parsed_reads()
    flow = [f"{source} --> {view}" for view in VIEWS for source in VIEWS if source in reads[view]]
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
