"""The coverage matrices of the page: each pair of factors as far as there is room (floor 4)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from fmon.report.text import cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.report.page import Rows, Size

MAX_FACTORS = 10
"""45 pairs; more fit into no select box."""

STEPS = 5
"""Shades of the heat map."""


def pairs_of(levels: Rows) -> list[tuple[str, str]]:
    """List the pairs of factors, the ones to begin with first: factors with one level tell nothing.

    Parameters
    ----------
    levels : rows of LEVELS
    """
    counts = {row["factor"]: row["total"] for row in levels}
    factors = sorted(counts, key=lambda factor: counts[factor] < 2)[:MAX_FACTORS]
    return list(combinations(factors, 2))


def matrix_of(levels: Rows, matrices: Mapping[tuple[str, str], Rows], size: Size) -> dict[str, Any] | None:
    """Give what the page draws: the first pair as a table, and all that fit as data for its select boxes.

    Parameters
    ----------
    levels, matrices : as in ``page.Facts``
    size : how many levels and cells there is room for

    Returns
    -------
    dict or None
        None where there are no two factors; ``first`` is the table, ``data`` goes into the page as JSON.
    """
    pairs = [pair for pair in pairs_of(levels) if pair in matrices]
    if not pairs:
        return None
    names = list(dict.fromkeys(factor for pair in pairs for factor in pair))
    shown = {name: [row for row in levels if row["factor"] == name][: size.levels] for name in names}
    data: dict[str, Any] = {
        "factors": [
            {
                "name": cut(name, size.name_characters),
                "levels": [cut(row["level"], size.name_characters) for row in shown[name]],
                "more": shown[name][0]["total"] - len(shown[name]),
            }
            for name in names
        ],
        "pairs": {},
    }
    room = size.cells
    for row_factor, column_factor in pairs:
        cells = _cells(matrices[row_factor, column_factor], shown[row_factor], shown[column_factor])
        if data["pairs"] and len(cells) > room:
            continue
        room -= len(cells)
        data["pairs"][f"{names.index(row_factor)},{names.index(column_factor)}"] = cells
    return {"data": data, "first": _table(data, *(names.index(name) for name in pairs[0]))}


def _cells(found: Rows, rows: Rows, columns: Rows) -> list[list[Any]]:
    """Turn a matrix into [row, column, expected, succeeded, failed]; a cell without a condition has none."""
    at_row = {row["level"]: number for number, row in enumerate(rows)}
    at_column = {row["level"]: number for number, row in enumerate(columns)}
    cells = [
        [at_row[each["row_level"]], at_column[each["column_level"]], *_counts(each)]
        for each in found
        if each["row_level"] in at_row and each["column_level"] in at_column
    ]
    return sorted(cells)


def _counts(cell: dict[str, Any]) -> list[int]:
    return [int(cell[name]) for name in ("expected_count", "succeeded_count", "failed_count")]


def _table(data: dict[str, Any], row: int, column: int) -> dict[str, Any]:
    """Lay the first pair out for a page without JavaScript; page.js does the same for the others."""
    row_factor, column_factor = data["factors"][row], data["factors"][column]
    cells = {(at_row, at_column): counts for at_row, at_column, *counts in data["pairs"][f"{row},{column}"]}
    return {
        "row": row_factor,
        "column": column_factor,
        "rows": [
            {
                "level": level,
                "cells": [
                    _cell(cells.get((number, at_column))) for at_column in range(len(column_factor["levels"]))
                ],
            }
            for number, level in enumerate(row_factor["levels"])
        ],
    }


def _cell(counts: Sequence[int] | None) -> dict[str, str]:
    """Write a cell in words and pick its shade: failures win over successes."""
    if counts is None:
        return {"text": "-", "shade": "none"}
    expected, succeeded, failed = counts
    text = f"{succeeded:,}/{expected:,}" + (f", {failed:,} failed" if failed else "")
    kind, part = ("bad", failed) if failed else ("good", succeeded)
    return {"text": text, "shade": f"{kind}{-(-part * STEPS // expected)}"}
