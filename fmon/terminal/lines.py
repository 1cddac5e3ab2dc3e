"""Lines of styled text, tables of such lines, and the one place that prints them.

All text passes through ``visible`` on its way into a segment, so the name of a job or a config never
controls the terminal. rich adds colors and folds wide tables; its markup is never interpreted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fmon.terminal.streams import while_read
from fmon.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import JustifyMethod

GAP = "  "

MIN_ROOM = 30
"""Minimum width of folded text in cells, on any terminal."""


class Segment(NamedTuple):
    """A piece of a line; make it with ``segment``."""

    text: str
    style: str = ""


Line = list[Segment]


class Grid(NamedTuple):
    """A table.

    Attributes
    ----------
    header
        Names of the columns.
    rows
        Cells, one list per row.
    numbers
        Positions of the columns that are aligned right.
    """

    header: Sequence[str]
    rows: Sequence[Line]
    numbers: frozenset[int] = frozenset()

    def widths(self) -> list[int]:
        """Measure each column in terminal cells; some characters take two."""
        widths = [cells(name) for name in self.header]
        for row in self.rows:
            widths = [max(width, cells(cell.text)) for width, cell in zip(widths, row, strict=True)]
        return widths

    def width(self) -> int:
        """Measure the entire table."""
        return sum(self.widths()) + len(GAP) * (len(self.header) - 1)

    def lines(self, room: int | None = None) -> Iterator[Line]:
        """Lay out the table, every column as wide as its widest cell; nothing is truncated.

        Parameters
        ----------
        room
            Width of the terminal in cells; a wider table has its long cells folded. None = no limit.
        """
        widths = self.widths()
        if room is not None and self.width() > room:
            yield from self._folded(room)
            return
        header = [segment(name, "bold") for name in self.header]
        for row in (header, *self.rows):
            yield self._line(row, widths)

    def _folded(self, room: int) -> Iterator[Line]:
        """Let rich fold the table, only if needed: rich takes forty times as long as ``_line``."""
        table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
        for number, name in enumerate(self.header):
            justify: JustifyMethod = "right" if number in self.numbers else "left"
            table.add_column(styled(line(name)), justify=justify, overflow="fold")
        for row in self.rows:
            table.add_row(*(styled([cell]) for cell in row))
        for pieces in Console(width=room, highlight=False).render_lines(table):
            yield [Segment(piece.text, str(piece.style or "")) for piece in pieces]

    def _line(self, row: Line, widths: list[int]) -> Line:
        line = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            pad = " " * (width - cells(cell.text))
            text = pad + cell.text if number in self.numbers else cell.text + pad
            line.append(Segment(text + (GAP if number < len(row) - 1 else ""), cell.style))
        return line


def segment(text: str, style: str = "") -> Segment:
    """Return a segment of any text, untrusted text included."""
    return Segment(visible(text), style)


def line(text: str, style: str = "") -> Line:
    """Return a line of one segment."""
    return [segment(text, style)]


def packed(parts: Iterable[Segment], width: int) -> Iterator[Line]:
    """Lay out parts side by side, indented, on as many lines as they need; empty parts are left out."""
    row: Line = []
    used = 0
    for part in parts:
        if not part.text:
            continue
        if row and used + len(GAP) + cells(part.text) > width:
            yield row
            row, used = [], 0
        row += [Segment(GAP), part]
        used += len(GAP) + cells(part.text)
    if row:
        yield row


def folded(label: str, text: str, width: int, *, style: str = "") -> Iterator[Line]:
    """Lay out text after a label, folded between words and indented to the end of the label.

    A word longer than a line is not split, so that paths and error lines can be copied.
    """
    room = max(width - cells(label), MIN_ROOM)
    rows: list[str] = [""]
    for word in visible(text).split(" "):
        if rows[-1] and cells(rows[-1]) + 1 + cells(word) > room:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}" if rows[-1] else word
    for number, row in enumerate(rows):
        yield [segment(label if number == 0 else " " * cells(label), "dim"), Segment(row, style)]


def cells(text: str) -> int:
    """Measure text in terminal cells."""
    return len(text) if text.isascii() else cell_len(text)


def is_terminal() -> bool:
    """Return whether stdout is a terminal; a pipe or a file gets plain text, whatever FORCE_COLOR says."""
    return sys.stdout.isatty()


def terminal_width() -> int | None:
    """Return the width in cells; None = no limit, since a pipe does not fold lines."""
    return Console().width if is_terminal() else None


def styled(parts: Line) -> Text:
    """Convert a line to rich's form; rich handles NO_COLOR and TERM."""
    return Text.assemble(*((part.text, part.style) for part in parts))


def plain(parts: Line) -> str:
    """Convert a line to text without colors."""
    return "".join(part.text for part in parts).rstrip()


def emit(lines: Iterable[Line]) -> None:
    """Print lines to stdout."""
    if not is_terminal():
        for each in while_read(lines):
            print(plain(each))  # noqa: T201
        return
    console = Console(highlight=False)
    for each in lines:
        console.print(styled(each), soft_wrap=True)
