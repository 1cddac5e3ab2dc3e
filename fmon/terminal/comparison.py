"""Print the changes between experiments."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from fmon.report.comparison import headline, level_list, matching, measures, proof
from fmon.terminal.lines import Grid, emit, line, segment, terminal_width
from fmon.terminal.rows import print_json
from fmon.text import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.report.compare import Compared
    from fmon.report.comparison import Change
    from fmon.terminal.lines import Line, Segment
    from fmon.warehouse.result import Row

MAX_ROWS = 100
"""Rows of each list; the rest are counted, and ``-o json`` has them all."""

STYLES = {
    "fixed": "green",
    "recovered": "green",
    "unproven": "yellow",
    "unexamined": "yellow",
    "new": "bold red",
    "returned": "bold red",
    "recurring": "red",
    "regressed": "bold red",
}
SIDES = {"both": "in both", "before": "only before", "after": "only after"}


def print_comparison(compared: Compared, output: str) -> None:
    """Print what changed from each experiment to the next.

    Parameters
    ----------
    compared
        The comparison.
    output
        ``table``, or ``json``: one object per pair of experiments.
    """
    if output == "json":
        print_json(compared.objects())
        return
    width = terminal_width()
    blocks = [list(_change_lines(change, width)) for change in compared.changes]
    emit(chain.from_iterable([*([[]] if number else []), *block] for number, block in enumerate(blocks)))


def _change_lines(change: Change, width: int | None) -> Iterator[Line]:
    yield line(f"{change.before_experiment_id} -> {change.experiment_id}", "bold")
    yield line(headline(change))
    yield from map(line, matching(change))
    yield []
    numbers = frozenset({1, 2, 3, 4})
    header = ["", "before", "after", "before, in common", "after, in common"]
    yield from Grid(header, [[segment(text) for text in each] for each in measures(change)], numbers).lines(
        width
    )
    yield from _section(
        width,
        ["cause", "category", "failed before", "failed after", "cost before", "cost after", "why"],
        [_cause(cause) for cause in change.causes],
        frozenset({2, 3, 4, 5}),
    )
    yield from _section(
        width,
        ["suspect", "category", "combination", "failed before", "failed after"],
        [_suspect(row) for row in change.suspects],
        frozenset({3, 4}),
    )
    yield from _section(
        width,
        ["change", "cell", "before", "after"],
        [
            [
                segment(row["change"], STYLES[row["change"]]),
                segment(level_list(row["cell"])),
                segment(_state(row, "before")),
                segment(_state(row, "after")),
            ]
            for row in change.state_changes
        ],
    )
    yield from _section(
        width,
        ["factor", "level", "before", "after"],
        [
            [segment(row["factor"]), segment(row["level"]), _covered(row, "before"), _covered(row, "after")]
            for row in change.coverage
        ],
        frozenset({2, 3}),
    )


def _section(
    width: int | None, header: list[str], cells: list[Line], numbers: frozenset[int] = frozenset()
) -> Iterator[Line]:
    """Lay out a list below an empty line; an empty list has no lines."""
    if not cells:
        return
    yield []
    yield from Grid(header, cells[:MAX_ROWS], numbers).lines(width)
    if len(cells) > MAX_ROWS:
        yield line(f"... {len(cells) - MAX_ROWS:,} more", "dim")


def _cause(cause: Row) -> Line:
    spent = [
        money(cause[f"{side}_cost_usd"]) if cause[f"{side}_attempt_count"] else ""
        for side in ("before", "after")
    ]
    why = "; ".join(filter(None, [proof(cause), cause["evidence"] or cause["root_cause"]]))
    return [
        segment(cause["change"], STYLES[cause["change"]]),
        segment(cause["category"]),
        segment(f"{cause['before_attempt_count']:,}"),
        segment(f"{cause['after_attempt_count']:,}"),
        *map(segment, spent),
        segment(why),
    ]


def _suspect(row: Row) -> Line:
    counts = [
        f"{row[f'{side}_failed_count']:,}/{row[f'{side}_total_count']:,}"
        if row[f"{side}_total_count"]
        else ""
        for side in ("before", "after")
    ]
    texts = [SIDES[row["side"]], row["category"], level_list(row["combination"]), *counts]
    return [segment(text) for text in texts]


def _state(row: Row, side: str) -> str:
    categories = ", ".join(row[f"{side}_categories"])
    return f"{row[f'{side}_state']} ({categories})" if categories else str(row[f"{side}_state"])


def _covered(row: Row, side: str) -> Segment:
    expected = row[f"{side}_expected_count"]
    return segment(f"{row[f'{side}_succeeded_count']:,}/{expected:,}" if expected else "-")
