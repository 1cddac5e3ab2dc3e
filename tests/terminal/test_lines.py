"""Tables that fold what is too wide for the terminal and cut nothing."""

import re

from fmon.terminal.lines import Grid, cells, plain, segment
from fmon.text import visible
from tests.support.screens import HOSTILE

GRID = Grid(
    ("condition", "n", "why"),
    [
        [segment("a"), segment("7"), segment("word " * 20 + HOSTILE + "数" * 40, "red")],
        [segment("b"), segment("1000"), segment("")],
    ],
    frozenset({1}),
)


def test_a_table_wider_than_the_terminal_folds_its_long_cells_and_cuts_nothing():
    lines = list(GRID.lines(60))
    assert all(sum(cells(part.text) for part in line) <= 60 for line in lines)
    shown = re.sub(r"\s", "", "".join(map(plain, lines)))
    assert re.sub(r"\s", "", "word" * 20 + visible(HOSTILE) + "数" * 40) in shown
    assert plain(lines[0]) == "condition     n  why"
    assert plain(lines[-1]) == "b          1000"


def test_a_folded_table_keeps_the_styles():
    styles = {part.style for line in GRID.lines(60) for part in line}
    assert {"bold", "red"} <= styles


def test_a_table_that_fits_and_one_for_a_pipe_are_not_folded():
    assert len(list(GRID.lines())) == len(list(GRID.lines(GRID.width()))) == 3
