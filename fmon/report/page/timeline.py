"""The attempts over time: the queries, and positions on a scale of 0 to 1000."""

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
"""Parts of the strip that stands for all attempts."""

# An attempt stands on the timeline from its submission to its end, or to now.
SPANS = """
create or replace temp table span as
select
    job.condition_id,
    job.job_id,
    job.task_id,
    job.cycle,
    job.role,
    job.state,
    job.status,
    job.is_failed,
    job.run_s,
    job.cost_usd,
    epoch(coalesce(job.submitted_at, job.first_seen_at)) as from_s,
    epoch(job.start_at) as start_s,
    epoch(
        coalesce(job.end_at, case when job.is_terminal then job.detected_at else experiment.now_at end)
    ) as to_s
from job
cross join experiment
"""

# All of them up to the bound; above it those that failed or are lost, then the longest.
TIMELINE = """
select
    span.condition_id,
    span.job_id,
    span.cycle,
    span.role,
    span.state,
    span.status,
    span.run_s,
    span.cost_usd,
    span.from_s,
    span.start_s,
    span.to_s,
    min(span.from_s) over () as first_s,
    max(span.to_s) over () as last_s,
    count(*) over () as total
from span
order by
    case when count(*) over () <= $most then 0 else span.state not in ('failed', 'lost') end,
    case when count(*) over () <= $most then null else span.run_s end desc nulls last,
    span.from_s,
    span.job_id,
    span.task_id
limit case when (select count(*) from span) <= $most then $most else $most_of_many end
"""

# The most attempts that ran at one moment, and how many failed, in each of the strip's parts.
DENSITY = """
with frame as (
    select min(span.from_s) as from_s, greatest(max(span.to_s) - min(span.from_s), 1) as length_s
    from span
),

step as (
    select least(span.start_s, span.to_s) as at_s, 1 as change, 0 as failed_count
    from span
    where span.start_s is not null
    union all
    select span.to_s, if(span.start_s is null, 0, -1), if(span.is_failed, 1, 0)
    from span
),

running as (
    select
        least(floor((step.at_s - frame.from_s) / frame.length_s * $parts), $parts - 1) as part,
        step.change,
        step.failed_count,
        sum(step.change) over (
            order by step.at_s, step.change
            rows between unbounded preceding and current row
        ) as running_count
    from step
    cross join frame
),

summed as (
    select
        running.part,
        sum(running.change) as change,
        sum(running.failed_count) as failed_count,
        max(running.running_count) as most_count
    from running
    group by running.part
)

select
    part.number,
    cast(greatest(
        coalesce(summed.most_count, 0),
        coalesce(sum(summed.change) over (
            order by part.number
            rows between unbounded preceding and 1 preceding
        ), 0)
    ) as bigint) as running_count,
    cast(coalesce(summed.failed_count, 0) as bigint) as failed_count
from generate_series(0, $parts - 1) as part (number)
left join summed on part.number = summed.part
order by part.number
"""


def bars_of(spans: list[Row], size: Size) -> list[Row]:
    """Place the attempts that are listed one by one, in the order of their submission.

    Parameters
    ----------
    spans : rows of TIMELINE; the first ones are those to list
    size : how many there is room for
    """
    if not spans:
        return []
    start, length = _frame(spans)
    shown = spans[: _room(spans, size)]
    return [_bar(span, start, length, size) for span in sorted(shown, key=_order)]


def strip_of(spans: list[Row], parts: list[Row], size: Size) -> Row | None:
    """Draw how many attempts ran at each time, and where failures were.

    Parameters
    ----------
    spans, parts : rows of TIMELINE and DENSITY
    size : how many attempts are listed one by one

    Returns
    -------
    dict or None
        None where there are no attempts.
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
    """Give start and length of the whole timeline [s]; every row of TIMELINE carries them."""
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
