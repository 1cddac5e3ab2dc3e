"""What has ended and what has failed, and the diagnosis that a fix and a relaunch stand on.

Rules F1 and F2 asked of the views and the audit, for every phase that comes after the diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.rules.f1_wait_for_terminal import (
    UnfinishedCondition,
    WaitingCondition,
    f1_not_cut_short,
    f1_wait_for_terminal,
)
from fmon.rules.f2_aggregate_before_fix import FailedAttempt, f2_aggregate_before_fix, f2_diagnosed_in_full
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb

    from fmon.events import Event

UNFINISHED = """
select
    condition.condition_id,
    condition.job_id,
    condition.state,
    condition.status
from condition
where not condition.is_terminal and ($cycle is null or coalesce(condition.cycle, 0) < $cycle)
order by condition.manifest_position
"""

FAILURES = """
select
    failure.condition_id,
    failure.job_id,
    failure.root_cause_id
from failure
where failure.is_newest and ($cycle is null or failure.cycle < $cycle)
order by failure.condition_id
"""

BEGUN = """
select
    relaunch_candidate.condition_id,
    relaunch_candidate.cycle
from relaunch_candidate
where relaunch_candidate.is_in_progress
order by relaunch_candidate.manifest_position
"""

CYCLE = "select experiment.current_cycle as cycle from experiment"

QUERIES = (UNFINISHED, FAILURES, BEGUN, CYCLE)
"""What is asked here; ``connect`` makes the views for it."""


def unfinished(con: duckdb.DuckDBPyConnection, *, cycle: int | None = None) -> list[UnfinishedCondition]:
    """Give the conditions whose newest job has not ended, and those that have none: for F1.

    Parameters
    ----------
    con
        View ``condition``.
    cycle
        One that is resumed, whose own jobs may well be open: only those before it; None = all.
    """
    return typed_rows(con, UNFINISHED, UnfinishedCondition, {"cycle": cycle})


def failures(con: duckdb.DuckDBPyConnection, *, cycle: int | None = None) -> list[FailedAttempt]:
    """Give the failures that nothing newer has made good: for F2.

    Parameters
    ----------
    con
        View ``failure``.
    cycle
        As for ``unfinished``.
    """
    return typed_rows(con, FAILURES, FailedAttempt, {"cycle": cycle})


def begun(con: duckdb.DuckDBPyConnection) -> list[WaitingCondition]:
    """Give the conditions that have no job yet of a cycle that was started: for F1."""
    return typed_rows(con, BEGUN, WaitingCondition)


def require_full_diagnosis(con: duckdb.DuckDBPyConnection, events: Sequence[Event]) -> datetime:
    """Ask F1 and F2 of what comes after a diagnosis, and give its time [UTC].

    Parameters
    ----------
    con
        Views of one experiment, at least for ``QUERIES``.
    events
        Its audit.

    Raises
    ------
    RuleError
        21: a job is open or still to come. 22: a failure is without a root cause, or there is no full
        diagnosis of the current cycle that names all of them.
    """
    f1_wait_for_terminal(unfinished(con))
    f1_not_cut_short(begun(con))
    failed = failures(con)
    f2_aggregate_before_fix(failed)
    (cycle,) = column(con, CYCLE)
    return f2_diagnosed_in_full(events, cycle, failed)
