"""What was spent, and what failed attempts wasted of it, as bars beside their numbers (floor 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.report.verdict import readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]

WIDTH = 100
"""Of the longest bar."""


def by_cycle(cycles: Sequence[Row]) -> list[Row]:
    """Give the rows of CYCLES their bars: ``used`` and ``wasted``, both out of WIDTH."""
    return _with_bars(cycles, "cost_usd")


def by_level(levels: Sequence[Row]) -> list[Row]:
    """Give the rows of LEVELS of one factor their bars."""
    return _with_bars(levels, "cost_usd")


def by_cause(cause_cycles: Sequence[Row], tags: Mapping[str, Row]) -> list[Row]:
    """Give the rows of CAUSE_CYCLES their bars, a name, and the card of the cause (None = recovered)."""
    return [
        {**row, "name": readable(row["root_cause_id"]), "card": tags.get(row["root_cause_id"])}
        for row in _with_bars(cause_cycles, "wasted_usd")
    ]


def _with_bars(rows: Sequence[Row], whole: str) -> list[Row]:
    most = max((float(row[whole] or 0) for row in rows), default=0)
    scale = WIDTH / most if most else 0
    return [
        {
            **row,
            "bar": {
                "used": f"{(float(row[whole] or 0) - float(row['wasted_usd'] or 0)) * scale:.1f}",
                "wasted": f"{float(row['wasted_usd'] or 0) * scale:.1f}",
            },
        }
        for row in rows
    ]
