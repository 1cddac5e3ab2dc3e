"""Check rules F1 and F2 for every phase that follows the diagnosis.

Reads from the views and the audit what has ended, what has failed, and which diagnosis is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.rules.f1_wait_for_terminal import (
    UnfinishedCondition,
    WaitingCondition,
    f1_no_interrupted_cycle,
    f1_wait_for_terminal,
)
from fmon.rules.f2_aggregate_before_fix import FailedAttempt, f2_aggregate_before_fix, f2_diagnosed_in_full
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb

    from fmon.events import Event

# Also an earlier job of a condition, if it runs again after its end.
UNFINISHED = """
with unfinished as (
    select
        condition.condition_id,
        condition.job_id,
        condition.state,
        condition.status,
        condition.cycle,
        condition.manifest_position
    from condition
    where not condition.is_terminal
    union all
    select
        condition.condition_id,
        job.job_id,
        any_value(job.state) as state,
        any_value(job.status) as status,
        any_value(job.cycle) as cycle,
        condition.manifest_position
    from condition
    inner join job on condition.condition_id = job.condition_id and condition.job_key <> job.job_key
    where job.role <> 'duplicate' and not job.is_terminal and job.is_seen
    group by condition.condition_id, job.job_id, job.job_key, condition.manifest_position
)

select
    unfinished.condition_id,
    unfinished.job_id,
    unfinished.state,
    unfinished.status
from unfinished
where $cycle is null or coalesce(unfinished.cycle, 0) < $cycle
order by unfinished.manifest_position, unfinished.job_id
"""

FAILURES = """
select
    failure.condition_id,
    failure.job_id,
    failure.job_key,
    failure.root_cause_id
from failure
where failure.is_newest and ($cycle is null or failure.cycle < $cycle)
order by failure.condition_id
"""

WAITING = """
select
    relaunch_candidate.condition_id,
    relaunch_candidate.cycle
from relaunch_candidate
where relaunch_candidate.is_in_progress
order by relaunch_candidate.manifest_position
"""

CYCLE = "select experiment.current_cycle as cycle from experiment"

QUERIES = (UNFINISHED, FAILURES, WAITING, CYCLE)
"""The queries of this module; ``connect`` creates the views that they need."""


def unfinished(con: duckdb.DuckDBPyConnection, *, cycle: int | None = None) -> list[UnfinishedCondition]:
    """Return the conditions with a job that has not ended, and those without a job: for F1.

    Parameters
    ----------
    con
        A connection with view ``condition``.
    cycle
        A cycle that is resumed and may have open jobs: only earlier cycles count; None = all.
    """
    return typed_rows(con, UNFINISHED, UnfinishedCondition, {"cycle": cycle})


def failures(con: duckdb.DuckDBPyConnection, *, cycle: int | None = None) -> list[FailedAttempt]:
    """Return the failures that no newer attempt has resolved: for F2.

    Parameters
    ----------
    con
        A connection with view ``failure``.
    cycle
        As for ``unfinished``.
    """
    return typed_rows(con, FAILURES, FailedAttempt, {"cycle": cycle})


def waiting(con: duckdb.DuckDBPyConnection) -> list[WaitingCondition]:
    """Return the conditions of a started cycle that have no job in it yet: for F1."""
    return typed_rows(con, WAITING, WaitingCondition)


def require_full_diagnosis(con: duckdb.DuckDBPyConnection, events: Sequence[Event]) -> datetime:
    """Check F1 and F2 for a phase that follows a diagnosis, and return the time of the diagnosis [UTC].

    Parameters
    ----------
    con
        A connection with the views of one experiment, at least those of ``QUERIES``.
    events
        Events of the experiment.

    Raises
    ------
    RuleError
        F1: a job is open or not launched yet. F2: a failure has no root cause, or no full diagnosis of
        the current cycle covers all failures.
    """
    f1_wait_for_terminal(unfinished(con))
    f1_no_interrupted_cycle(waiting(con))
    failed = failures(con)
    f2_aggregate_before_fix(failed)
    (cycle,) = column(con, CYCLE)
    return f2_diagnosed_in_full(events, cycle, failed)
