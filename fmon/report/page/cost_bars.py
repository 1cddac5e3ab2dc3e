"""Cost and wasted cost as bars next to their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.report.page.verdict import readable
from fmon.text import clock, money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.warehouse.result import Row

WIDTH = 100
"""Width of the longest bar."""


def by_cycle(cycles: Sequence[Row]) -> list[Row]:
    """Add bars to the rows of CYCLES: ``used`` and ``wasted``, both out of WIDTH."""
    return _with_bars(cycles, "cost_usd")


def by_level(levels: Sequence[Row]) -> list[Row]:
    """Add bars to the rows of LEVELS of one factor."""
    return _with_bars(levels, "cost_usd")


def by_cause(cause_cycles: Sequence[Row], tags: Mapping[str, Row]) -> list[Row]:
    """Add bars, a name and the card of the cause (None = recovered) to the rows of CAUSE_CYCLES."""
    return [
        {**row, "name": readable(row["root_cause_id"]), "card": tags.get(row["root_cause_id"])}
        for row in _with_bars(cause_cycles, "wasted_usd")
    ]


def _with_bars(rows: Sequence[Row], total: str) -> list[Row]:
    most = max((float(row[total] or 0) for row in rows), default=0)
    scale = WIDTH / most if most else 0
    return [
        {
            **row,
            "bar": {
                "used": f"{(float(row[total] or 0) - float(row['wasted_usd'] or 0)) * scale:.1f}",
                "wasted": f"{float(row['wasted_usd'] or 0) * scale:.1f}",
            },
        }
        for row in rows
    ]


def reconciled(found: Row) -> str:
    """Compare fmon's cost with SkyPilot's own, in a sentence; ``found`` is a row of RECONCILED."""
    reported, compared = found["reported_count"], found["compared_count"]
    report = (
        f"SkyPilot's own cost report of {clock(found['reported_at'])}: {money(found['reported_usd'])}"
        f" for {reported:,} of {found['job_count']:,} jobs"
    )
    if not compared:
        return f"{report}; fmon has no price for these jobs"
    difference = found["difference_usd"]
    signed = ("-" if difference < 0 else "+") + money(abs(difference))
    if compared < reported:
        jobs = "job" if compared == 1 else "jobs"
        return f"{report}; fmon's estimate differs by {signed} for the {compared:,} {jobs} with a price"
    own = money(found["reported_usd"] + difference)
    return f"{report}; fmon's estimate for the same jobs is {own}, difference {signed}"
