"""Print the rows of a query as a table or as JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from fmon.terminal.lines import Grid, emit, line, segment, terminal_width
from fmon.terminal.streams import while_read
from fmon.text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import msgspec

    from fmon.terminal.lines import Line


def print_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], output: str) -> None:
    """Print the rows of a query.

    Parameters
    ----------
    columns
        Names of the columns, also if there are no rows.
    rows
        One mapping per row.
    output
        ``table`` or ``json``.
    """
    if output == "json":
        print_json(rows)
        return
    numbers = frozenset(
        number for number, name in enumerate(columns) if any(_is_number(row[name]) for row in rows[:100])
    )
    grid = Grid(columns, [[segment(cell_text(row[name])) for name in columns] for row in rows], numbers)
    width = terminal_width()
    emit(grid.lines() if width is None or grid.width() <= width else _stacked(grid))


def print_json(rows: Iterable[Mapping[str, Any] | msgspec.Struct]) -> None:
    """Print rows as one JSON array of objects, one object per line."""
    objects = map(json_text, rows)
    first = next(objects, None)
    if first is None:
        print("[]")  # noqa: T201
        return
    print("[", end="")  # noqa: T201
    print(first, end="")  # noqa: T201
    for each in while_read(objects):
        print(f",\n {each}", end="")  # noqa: T201
    print("]")  # noqa: T201


def cell_text(value: Any) -> str:
    """Format a query's value for a table."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}={cell_text(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell_text, value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return json_text(value).strip('"')
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _stacked(grid: Grid) -> Iterator[Line]:
    """Lay out a table that is wider than the terminal as one block per row, one column per line."""
    name_width = max(map(len, grid.header))
    for number, row in enumerate(grid.rows):
        yield from chain(
            [[]] if number else [],
            (
                [segment(f"{name:<{name_width}}  ", "bold"), cell]
                for name, cell in zip(grid.header, row, strict=True)
            ),
        )
    if not grid.rows:
        yield line(", ".join(grid.header), "bold")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
