"""The timeline of the attempts: the queries, and positions on a scale of 0 to 1000."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fmon.text import cost, cut, duration

if TYPE_CHECKING:
    from fmon.report.page.budget import Size
    from fmon.warehouse.result import Row

WIDTH = 1000
HEIGHT = 60
PARTS = 100
"""Number of parts of the strip that shows all attempts."""

# All attempts up to the limit; above it those that failed or are lost, then the longest.
TIMELINE = """
select
    timeline.condition_id,
    timeline.job_id,
    timeline.cycle,
    timeline.role,
    timeline.state,
    timeline.status,
    timeline.run_s,
    timeline.cost_usd,
    epoch(timeline.from_at) as from_s,
    epoch(timeline.start_at) as start_s,
    epoch(timeline.to_at) as to_s,
    min(epoch(timeline.from_at)) over () as first_s,
    max(epoch(timeline.to_at)) over () as last_s,
    count(*) over () as total
from timeline
order by
    case when count(*) over () <= $most then 0 else timeline.state not in ('failed', 'lost') end,
    case when count(*) over () <= $most then null else timeline.run_s end desc nulls last,
    timeline.from_at,
    timeline.job_id,
    timeline.task_id
limit case when (select count(*) from timeline) <= $most then $most else $most_of_many end
"""

# The most attempts that ran at one moment, and how many failed, in each of the strip's parts.
DENSITY = """
select
    part.part_number as number,
    part.running_count,
    part.failed_count
from timeline_density($experiment, $parts) as part
order by part.part_number
"""


def bars_of(spans: list[Row], size: Size) -> list[Row]:
    """Place the attempts that are listed individually, in the order of their submission.

    Parameters
    ----------
    spans
        Rows of TIMELINE; the first ones are listed.
    size
        How many to list.
    """
    if not spans:
        return []
    start, length = _frame(spans)
    shown = spans[: _room(spans, size)]
    return [_bar(span, start, length, size) for span in sorted(shown, key=_order)]


def strip_of(spans: list[Row], parts: list[Row], size: Size) -> Row | None:
    """Return how many attempts ran at each time, and where failures were.

    Parameters
    ----------
    spans, parts
        Rows of TIMELINE and DENSITY.
    size
        How many attempts are listed individually.

    Returns
    -------
    dict or None
        None if there are no attempts.
    """
    if not spans or not parts:
        return None
    start, length = _frame(spans)
    most = max(1, *(part["running_count"] for part in parts))
    step = WIDTH / len(parts)
    return {
        "from": datetime.fromtimestamp(start, UTC),
        "to": datetime.fromtimestamp(start + length, UTC),
        "most": most,
        "left": max(0, spans[0]["total"] - _room(spans, size)),
        "total": spans[0]["total"],
        "columns": [
            {
                "x": f"{step * part['number']:.1f}",
                "width": f"{step:.1f}",
                "height": f"{HEIGHT * part['running_count'] / most:.1f}",
                "top": f"{HEIGHT - HEIGHT * part['running_count'] / most:.1f}",
                "running": part["running_count"],
                "failed": part["failed_count"],
            }
            for part in parts
        ],
    }


def _room(spans: list[Row], size: Size) -> int:
    return min(len(spans), size.bars if spans[0]["total"] <= size.bars else size.bars_of_many)


def _frame(spans: list[Row]) -> tuple[float, float]:
    """Return start and length of the entire timeline [s]; every row of TIMELINE has them."""
    start, end = spans[0]["first_s"], spans[0]["last_s"]
    return start, max(end - start, 1.0)


def _order(span: Row) -> tuple[float, int]:
    return span["from_s"], span["job_id"]


def _bar(span: Row, start: float, length: float, size: Size) -> Row:
    """Place one attempt: thin while it waits, thick while it runs."""
    scale = WIDTH / length
    began = span["to_s"] if span["start_s"] is None else min(span["start_s"], span["to_s"])
    wait_x, run_x = (span["from_s"] - start) * scale, (began - start) * scale
    role = "" if span["role"] == "attempt" else f", {span['role']}"
    return {
        "condition": cut(span["condition_id"], size.name_characters),
        "job": span["job_id"],
        "cycle": span["cycle"],
        "state": span["state"],
        "status": cut(span["status"], 40) + role,
        "run": duration(span["run_s"]),
        "cost": cost(span["cost_usd"], 0),
        "wait_x": f"{wait_x:.1f}",
        "wait_width": f"{max(run_x - wait_x, 0):.1f}",
        "run_x": f"{run_x:.1f}",
        "run_width": "0" if span["start_s"] is None else f"{max((span['to_s'] - began) * scale, 2):.1f}",
    }
