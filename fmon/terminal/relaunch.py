"""Print the commands of ``fmon relaunch``, their results, and the report of F4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict

from fmon.rules.f3_rebuild_before_relaunch import without_fix
from fmon.terminal.lines import emit, line
from fmon.terminal.rows import print_rows
from fmon.text import json_text, money

if TYPE_CHECKING:
    from fmon.relaunch.escalation import CauseOfCycle, Escalation
    from fmon.relaunch.plan import PlannedJob
    from fmon.relaunch.relaunch import Relaunched
    from fmon.warehouse.result import Row

COLUMNS = ("condition_id", "cycle", "result", "job_id", "former_job_id", "reason", "root_cause_id", "remedy")
CAUSES = ("cycle", "root_cause_id", "remedy", "condition_count", "recovered_count", "wasted_usd", "fixes")
CYCLES = ("cycle", "job_count", "run_h", "cost_usd", "unpriced_count")


def print_relaunched(relaunched: Relaunched, output: str) -> None:
    """Print the commands of a dry run, or the results of the launches.

    Parameters
    ----------
    relaunched
        What was launched; nothing in a dry run.
    output
        ``table`` (in a dry run one command per line), or ``json``: one object per condition.
    """
    if output == "table" and relaunched.dispatched is None:
        emit(line(row.command) for row in relaunched.plan.jobs if row.command)
        return
    print_rows(COLUMNS, [_row(relaunched, row) for row in relaunched.plan.jobs], output)


def print_escalation(report: Escalation, output: str) -> None:
    """Print the report for the person who decides about one more cycle.

    Parameters
    ----------
    report
        The report.
    output
        ``table``, or ``json``: one object.
    """
    if output == "json":
        print(json_text(report.document()))  # noqa: T201
        return
    print_rows(CAUSES, [_tried(row) for row in report.causes], output)
    emit([[]])
    print_rows(CYCLES, [asdict(row) for row in report.cycles], output)
    count = report.condition_count
    estimate = "unknown" if report.estimate_usd is None else money(report.estimate_usd)
    emit(
        [
            [],
            line(f"cycle {report.cycle} would run {count:,} condition{'s' * (count != 1)}, est. {estimate}"),
            line(f"recommendation: {report.recommendation}", "bold"),
        ]
    )


def _tried(row: CauseOfCycle) -> Row:
    """Return the row of a cause, with its fixes and the reasons for none in one column."""
    return asdict(row) | {"fixes": [*row.fixes, *map(without_fix, row.no_fix_reasons)]}


def _row(relaunched: Relaunched, row: PlannedJob) -> Row:
    result, job_id = _result(relaunched, row.condition_id)
    return {
        "condition_id": row.condition_id,
        "cycle": row.cycle,
        "result": result,
        "job_id": job_id,
        "former_job_id": row.job_id,
        "reason": row.reason,
        "root_cause_id": row.root_cause_id,
        "category": row.category,
        "remedy": row.remedy,
        "command": row.command,
    }


def _result(relaunched: Relaunched, condition_id: str) -> tuple[str | None, int | None]:
    """Return the result and the job of one launch; None in a dry run."""
    done = relaunched.dispatched
    if done is None:
        return None, None
    for result, jobs in (("launched", done.launched), ("found", done.found)):
        if condition_id in jobs:
            return result, jobs[condition_id]
    if condition_id in done.failed:
        return "failed", None
    return ("uncertain" if condition_id in done.uncertain else "left"), None
