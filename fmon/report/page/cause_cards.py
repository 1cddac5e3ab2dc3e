"""The root causes on the page: cards, and the matrix of causes and levels."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from fmon.causes.taxonomy import strategy
from fmon.diagnose.excerpt import narrowed
from fmon.report.page.verdict import UNEXAMINED, labels_of, place, readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.diagnose.excerpt import Excerpt
    from fmon.report.page.budget import Size
    from fmon.warehouse.result import Row


STEPS = 5
"""Shades of the matrix."""
CAVEAT = "; association"
"""Start of the caveat in the statement of view ``suspect``."""

HUES = 8
"""Number of colors for causes; their letters identify them, the color only helps."""


def tag_of(number: int) -> str:
    """Return the letters that stand for a cause on the entire page: A to Z, then AA, AB, ...

    Examples
    --------
    >>> tag_of(0), tag_of(25), tag_of(26)
    ('A', 'Z', 'AA')
    """
    before, letter = divmod(number, 26)
    return (tag_of(before - 1) if before else "") + chr(ord("A") + letter)


def cards_of(
    causes: Sequence[Row], suspects: Sequence[Row], excerpts: Mapping[str, Excerpt], size: Size
) -> list[Row]:
    """Collect what is known about each cause.

    Parameters
    ----------
    causes, suspects
        Rows of CAUSES and SUSPECTS.
    excerpts
        Excerpts by root_cause_id, if the log is stored.
    size
        How many causes to show, and how much of each.

    Returns
    -------
    list
        One dict per cause that is shown: the row of CAUSES, and ``tag``, ``hue``, ``label``, ``detail``,
        ``strategy``, ``suspects`` (rows with ``place``, ``there`` and ``elsewhere`` [percent]) and
        ``excerpt`` (None = there is none).
    """
    labels = labels_of(causes)
    return [
        {
            **cause,
            "tag": tag_of(number),
            "hue": number % HUES + 1,
            "label": labels[cause["root_cause_id"]],
            "detail": _beyond(labels[cause["root_cause_id"]], cause["root_cause_id"]),
            "is_examined": cause["root_cause_id"] != UNEXAMINED,
            "strategy": strategy(cause["category"], cause["subcategory"]),
            "suspects": [_suspect(row) for row in suspects if row["root_cause_id"] == cause["root_cause_id"]],
            "excerpt": _excerpt(excerpts.get(cause["root_cause_id"]), size),
        }
        for number, cause in enumerate(causes[: size.causes])
    ]


def _beyond(label: str, root_cause_id: str) -> str:
    """Return what the name of a root cause adds to its label."""
    name = readable(root_cause_id)
    return name.removeprefix(label) if len(name) > len(label) else ""


def level_matrix_of(clusters: Sequence[Row], cards: Sequence[Row], size: Size) -> list[Row]:
    """Lay out causes by level.

    Parameters
    ----------
    clusters
        Rows of CLUSTERS, a factor's rows together.
    cards
        The causes that are columns, from ``cards_of``.

    Returns
    -------
    list
        One dict per factor: ``factor``, ``left`` (levels that are not shown) and ``rows``, each with
        ``level``, ``total`` (conditions with a result) and ``cells`` (``text``, ``shade``).
    """
    shown = [card["root_cause_id"] for card in cards[: size.matrix_causes]]
    return [
        _factor(factor, list(rows), shown, size) for factor, rows in groupby(clusters, itemgetter("factor"))
    ]


def _factor(factor: str, clusters: list[Row], shown: list[str], size: Size) -> Row:
    levels: dict[str, dict[str, Row]] = {}
    for row in clusters:
        levels.setdefault(row["level"], {})[row["root_cause_id"]] = row
    return {
        "factor": factor,
        "left": max(0, clusters[0]["level_total"] - size.levels),
        "rows": [
            {
                "level": level,
                "total": next(iter(found.values()))["total_count"],
                "cells": [_cell(found.get(cause)) for cause in shown],
            }
            for level, found in list(levels.items())[: size.levels]
        ],
    }


def _cell(cluster: Row | None) -> Row:
    if cluster is None or not cluster["failed_count"]:
        return {"text": "0", "shade": "none", "lift": None}
    failed, total = cluster["failed_count"], cluster["total_count"]
    return {
        "text": f"{failed:,} of {total:,}",
        "shade": f"bad{-(-failed * STEPS // total)}",
        "lift": f"{cluster['lift']:.1f}",
    }


def _suspect(row: Row) -> Row:
    """Add the place, and how many failed there and elsewhere; the caveat is separate."""
    sentence, comma, caveat = row["statement"].partition(CAVEAT)
    return {
        **row,
        "text": f"{sentence[:1].upper()}{sentence[1:]}.",
        "caveat": f"{comma}{caveat}".lstrip("; "),
        "place": place(row["combination"]),
        "there": _percent(row["failed_count"], row["total_count"]),
        "elsewhere": _percent(row["outside_failed_count"], row["outside_total_count"]),
    }


def _percent(part: int, total: int) -> int:
    return round(100 * part / total) if total else 0


def _excerpt(excerpt: Excerpt | None, size: Size) -> Row | None:
    if excerpt is None:
        return None
    return {
        "job_id": excerpt.job_id,
        "is_controller": excerpt.is_controller,
        "line_count": excerpt.line_count,
        "lines": narrowed(excerpt, around=size.excerpt_lines, characters=size.line_characters),
    }
