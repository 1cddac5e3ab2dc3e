"""Print the status of an experiment: alarms, progress, conditions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fmon.terminal.lines import Grid, emit, line, packed, segment, terminal_width
from fmon.terminal.rows import print_json
from fmon.text import clock, counted, duration, money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.monitor.status import Alarm, ConditionRow, Status
    from fmon.terminal.lines import Line

MAX_ROWS = 100
"""Conditions that ``fmon status`` lists; the rest are counted, and ``-o json`` has them all."""

MAX_ALARMS = 20

STYLES = {
    "succeeded": "green",
    "failed": "bold red",
    "lost": "bold red",
    "running": "cyan",
    "pending": "yellow",
    "missing": "dim",
    "cancelled": "magenta",
}

ATTENTION = {"failed": 0, "lost": 0, "running": 1, "pending": 2, "missing": 3, "cancelled": 3, "succeeded": 4}
"""The order in which conditions are listed if there are too many; those with an alarm come first."""

STALE_S = 600


def print_status(seen: Status, output: str) -> None:
    """Print the status of an experiment.

    Parameters
    ----------
    seen
        The status.
    output
        ``table``, or ``json``: all conditions.
    """
    if output == "json":
        print_json(seen.rows)
        return
    width = terminal_width()
    emit(status_lines(seen, width=width, max_rows=MAX_ROWS, max_alarms=MAX_ALARMS))
    if seen.queued:
        emit([line(seen.queued.sentence, "yellow")])


def status_lines(seen: Status, *, width: int | None, max_rows: int, max_alarms: int) -> Iterator[Line]:
    """Lay out a status: alarms first, then progress, then the conditions.

    Parameters
    ----------
    seen
        The status.
    width
        Width of the terminal; None = no limit.
    max_rows, max_alarms
        Maximum number of conditions and alarms to list; the rest are counted.
    """
    alarms = list(alarm_lines(seen.alarms, max_alarms))
    yield from alarms
    if alarms:
        yield []
    yield line(seen.progress, "bold")
    yield from _clock_lines(seen)
    yield []
    yield from _condition_lines(seen, width, max_rows)


def alarm_lines(alarms: list[Alarm], max_alarms: int) -> Iterator[Line]:
    """Lay out alarms, critical ones first; beyond ``max_alarms`` they are only counted by kind."""
    for alarm in alarms[:max_alarms]:
        style = "bold red" if alarm.severity == "critical" else "yellow"
        severity = alarm.severity.upper() if alarm.severity == "critical" else alarm.severity
        yield [segment(f"{severity}  {alarm.kind}  ", style), segment(alarm.message)]
    for kind, count in sorted(Counter(alarm.kind for alarm in alarms[max_alarms:]).items()):
        yield line(f"... {count:,} more {kind}", "yellow")


def poll_line(seen: Status) -> Line:
    """Return the line that names the last poll and its age."""
    name = f"{seen.experiment_id}: "
    if seen.poll_id is None:
        return line(name + "never polled", "yellow")
    age = "the end of the recording" if seen.is_replayed else f"{duration(seen.poll_age_s)} ago"
    is_stale = not seen.is_replayed and seen.open_count > 0 and (seen.poll_age_s or 0) > STALE_S
    return line(
        f"{name}poll {seen.poll_id:,} at {clock(seen.polled_at)}, {age}", "yellow" if is_stale else "dim"
    )


def _clock_lines(seen: Status) -> Iterator[Line]:
    if seen.eta and seen.eta.at:
        text = f"ETA {clock(seen.eta.at)}, in {duration(seen.eta.rest_s)} ({seen.eta.rule})"
        yield line(text)
    elif seen.eta and seen.eta.overdue_s is not None:
        yield line(f"ETA overdue by {duration(seen.eta.overdue_s)} ({seen.eta.rule})", "yellow")
    elif seen.eta:
        yield line(f"ETA unknown: {seen.eta.rule}")
    if seen.impossible_count:
        jobs = counted(seen.impossible_count, "job")
        text = f"impossible times of {jobs} count as unknown; list them: fmon sql 'from impossible_time'"
        yield line(text, "yellow")
    yield poll_line(seen)
    if seen.is_from_file and seen.open_count and (seen.ok_age_s or 0) > STALE_S:
        yield line(
            f"the queue file is {duration(seen.ok_age_s)} old: its writer may have stopped; "
            "run times and costs are as of then",
            "bold red",
        )
    if seen.poll_error:
        answered = (
            f"last answered at {clock(seen.last_ok_at)}, {duration(seen.ok_age_s)} ago"
            if seen.last_ok_at
            else "never answered"
        )
        yield line(f"that poll failed: {seen.poll_error}; the queue {answered}", "bold red")


def _condition_lines(seen: Status, width: int | None, max_rows: int) -> Iterator[Line]:
    if len(seen.rows) < seen.condition_count:
        yield line(f"{len(seen.rows):,} of {counted(seen.condition_count, 'condition')} selected")
    shown, more = _chosen(seen, max_rows)
    if shown:
        yield from _table(shown, width)
    for state, count in more.items():
        yield line(f"... {count:,} more {state}", STYLES.get(state, ""))


def _chosen(seen: Status, max_rows: int) -> tuple[list[ConditionRow], dict[str, int]]:
    """Choose the conditions to list, and count the others by state."""
    if len(seen.rows) <= max_rows:
        return seen.rows, {}
    alarmed = {alarm.condition_id for alarm in seen.alarms}
    by_attention = sorted(
        seen.rows, key=lambda row: (row.condition_id not in alarmed, ATTENTION.get(row.state, 0))
    )
    more = Counter(row.state for row in by_attention[max_rows:])
    return by_attention[:max_rows], {state: more[state] for state in ATTENTION if more[state]}


def _table(rows: list[ConditionRow], width: int | None) -> Iterator[Line]:
    """Lay out conditions as wide as the terminal allows: with factors, without, or on two lines each."""
    factors = list(dict.fromkeys(factor for row in rows for factor in row.factors))
    complete = _grid(rows, factors)
    if width is None:
        yield from complete.lines()
        return
    for grid in (complete, _grid(rows, [])):
        if grid.width() <= width:
            yield from grid.lines()
            return
    for row in rows:
        condition, job, *others, spent = _cells(row, [])
        yield [condition]
        if row.cycle:
            spent = segment(f"{spent.text} in all")
        others = [*others, spent]
        yield from packed([segment(f"job {job.text}" if job.text else ""), *others], width)


def _grid(rows: list[ConditionRow], factors: list[str]) -> Grid:
    # The duration is that of the newest attempt, the cost that of all.
    spent = "total cost" if any(row.cycle for row in rows) else "cost"
    header = ["condition", "job", *factors, "status", "duration", spent]
    numbers = frozenset({1, len(header) - 2, len(header) - 1})
    return Grid([segment(name).text for name in header], [_cells(row, factors) for row in rows], numbers)


def _cells(row: ConditionRow, factors: list[str]) -> Line:
    return [
        segment(row.condition_id),
        segment("" if row.job_id is None else str(row.job_id)),
        *(segment(row.factors.get(factor, "")) for factor in factors),
        segment(_status_text(row), STYLES.get(row.state, "")),
        segment(duration(row.run_s)),
        segment("" if row.job_id is None else money(row.cost_usd)),
    ]


def _status_text(row: ConditionRow) -> str:
    """Return SkyPilot's status, or fmon's state if SkyPilot has none."""
    if row.state == "lost":
        closed = f", closed by {row.closed_by} {clock(row.closed_at)}" if row.closed_by else ""
        return f"lost, was {row.status}{closed}"
    status = row.status or row.state
    recoveries = row.recovery_count
    return f"{status}, {recoveries} recovered" if recoveries else status
