"""The heat maps of the page: any two factors, and the measures of their cells."""

from __future__ import annotations

from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING, Any

from fmon.text import cut, duration, money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.report.page.budget import Size
    from fmon.warehouse.result import Row

Pair = tuple[str, str]

MAX_FACTORS = 10
"""45 pairs; a select box has no room for more."""

STEPS = 5
"""Shades of the heat map."""

ALL = "all"
"""The only column if there is a single factor."""

OTHER = "other"
"""A cause that the page has no room for."""

EMPTY = ("-", "", "none")
"""A cell without a condition."""

_OTHERS = ("cancelled", "running", "pending", "lost", "missing")


def pairs_of(levels: list[Row]) -> list[Pair]:
    """List the pairs of factors, those with one level last, since they explain nothing.

    A single factor is paired with itself.

    Parameters
    ----------
    levels
        Rows of LEVELS.
    """
    counts = {row["factor"]: row["total"] for row in levels}
    factors = sorted(counts, key=lambda factor: counts[factor] < 2)[:MAX_FACTORS]
    return list(combinations(factors, 2)) or [(factor, factor) for factor in factors]


def matrix_of(
    levels: list[Row],
    matrices: Mapping[Pair, list[Row]],
    failures: Mapping[Pair, list[Row]],
    cards: Sequence[Row],
    size: Size,
) -> Row | None:
    """Return the first pair as a table, and all pairs that fit as data for the page's controls.

    Parameters
    ----------
    levels
        Rows of LEVELS.
    matrices, failures
        Rows of MATRIX and CAUSE_MATRIX by pair of factors.
    cards
        The causes, from ``cause_cards.cards_of``.
    size
        How many levels and cells to show.

    Returns
    -------
    dict or None
        None if there is no factor. ``first`` is the table, ``data`` goes into the page as JSON:
        ``factors`` (``name``, ``levels``, ``more``), ``pairs`` ("row,column" -> cells) and ``causes``. A cell
        is [row, column, outcome, cost, duration, cause], each of the four [text, note, shade].
    """
    pairs = _suspected_first([pair for pair in pairs_of(levels) if pair in matrices], cards)
    if not pairs:
        return None
    tags = {card["root_cause_id"]: card for card in cards}
    is_single = pairs[0][0] == pairs[0][1]
    names = list(dict.fromkeys(factor for pair in pairs for factor in pair))
    shown = {name: [row for row in levels if row["factor"] == name][: size.levels] for name in names}
    factors = [_factor(name, shown[name], size) for name in names]
    found: dict[str, list[list[Any]]] = {}
    room = size.cells
    for pair in pairs:
        at = [{row["level"]: number for number, row in enumerate(shown[factor])} for factor in pair]
        cells = _cells(matrices[pair], failures.get(pair, []), at, tags)
        if found and len(cells) > room:
            continue
        room -= len(cells)
        row, column = (names.index(factor) for factor in pair)
        found[f"{row},{column}"] = cells
    if is_single:
        factors.append({"name": ALL, "levels": ["conditions"], "more": 0})
        found = {"0,1": [[row, 0, *measures] for row, _, *measures in found["0,0"]]}
    data = {"factors": factors, "pairs": found}
    return {"data": data, "first": _table(data), "is_single": is_single, "pair": pairs[0]}


def _suspected_first(pairs: list[Pair], cards: Sequence[Row]) -> list[Pair]:
    """Put the pair of the largest cause with a suspect first, if there is one."""
    found = [suspect["combination"] for card in cards for suspect in card["suspects"]]
    suspected = next((set(each) for each in found if each), set())
    return sorted(pairs, key=lambda pair: -len(suspected & set(pair)))


def _factor(name: str, shown: list[Row], size: Size) -> Row:
    return {
        "name": cut(name, size.name_characters),
        "levels": [cut(row["level"], size.name_characters) for row in shown],
        "more": shown[0]["total"] - len(shown),
    }


def _cells(
    found: list[Row], failures: list[Row], at: Sequence[Mapping[str, int]], tags: Mapping[str, Row]
) -> list[list[Any]]:
    """Place the cells and format each of their measures."""
    at_row, at_column = at
    causes: dict[Pair, list[tuple[str, int]]] = {}
    for row in failures:
        causes.setdefault((row["row_level"], row["column_level"]), []).append(
            (row["root_cause_id"], row["failed_count"])
        )
    most_usd = max((row["cost_usd"] or 0 for row in found), default=0)
    most_s = max((row["median_run_s"] or 0 for row in found), default=0)
    return sorted(
        [
            at_row[each["row_level"]],
            at_column[each["column_level"]],
            _outcome(each),
            _cost(each, most_usd),
            _duration(each, most_s),
            _cause(causes.get((each["row_level"], each["column_level"]), []), tags),
        ]
        for each in found
        if each["row_level"] in at_row and each["column_level"] in at_column
    )


def _outcome(cell: Row) -> list[str]:
    """Format how many succeeded, and the states of the rest; any failure decides the color."""
    expected, succeeded, failed = (cell[f"{name}_count"] for name in ("expected", "succeeded", "failed"))
    rest = [f"{failed:,} failed"] if failed else []
    rest += [f"{cell[f'{name}_count']:,} {name}" for name in _OTHERS if cell[f"{name}_count"]]
    kind, part = ("bad", failed) if failed else ("good", succeeded)
    return [f"{succeeded:,}/{expected:,}", ", ".join(rest), f"{kind}{_step(part, expected)}"]


def _cost(cell: Row, most: Any) -> list[str]:
    unpriced = cell["unpriced_count"]
    note = f"{unpriced:,} unpriced" if unpriced else ""
    return [money(cell["cost_usd"]), note, f"heat{_step(cell['cost_usd'] or 0, most)}"]


def _duration(cell: Row, most: float) -> list[str]:
    run_s = cell["median_run_s"]
    return [duration(run_s) or "not started", "", f"heat{_step(run_s or 0, most)}" if run_s else "none"]


def _cause(failures: Sequence[tuple[str, int]], tags: Mapping[str, Row]) -> list[str]:
    """Name the most frequent cause of a cell; its color is that of the cause on the entire page."""
    if not failures:
        return ["0", "", "none"]
    shown = [f"{tags[cause]['tag'] if cause in tags else OTHER} {count:,}" for cause, count in failures[:3]]
    more = [f"{len(failures) - 3:,} more"] if len(failures) > 3 else []
    card = tags.get(failures[0][0])
    return [shown[0], ", ".join([*shown[1:], *more]), f"hue{card['hue']}" if card else "none"]


def _step(part: Any, total: Any) -> int:
    """Return the shade: 0 for nothing, otherwise 1 to STEPS."""
    return min(STEPS, ceil(STEPS * float(part) / float(total))) if total else 0


def _table(data: Row) -> Row:
    """Lay out the first pair by its outcome, for a page without JavaScript; heat.js draws the others."""
    key, cells = next(iter(data["pairs"].items()))
    row, column = (data["factors"][int(number)] for number in key.split(","))
    placed = {(at_row, at_column): outcome for at_row, at_column, outcome, *_ in cells}
    return {
        "row": row,
        "column": column,
        "rows": [
            {
                "level": level,
                "cells": [placed.get((number, each), EMPTY) for each in range(len(column["levels"]))],
            }
            for number, level in enumerate(row["levels"])
        ],
    }
