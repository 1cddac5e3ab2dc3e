"""Phase 3, diagnose: group every failure of the cycle by root cause, in one report.

Examines failures that no poll has examined, reads the views, writes the event and the manifest's copies.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import asdict

from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import UNFINISHED, failures, unfinished, waiting
from fmon.diagnose.root_causes import QUERIES as CAUSES
from fmon.diagnose.root_causes import headline, root_causes
from fmon.events import DiagnosedCause, DiagnosisEvent
from fmon.monitor.classify import Budget, examine
from fmon.monitor.refresh import refresh
from fmon.rules.f1_wait_for_terminal import f1_is_lifted, f1_no_interrupted_cycle, f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import UNEXAMINED, f2_aggregate_before_fix, named_in
from fmon.store.read_only import workplace
from fmon.study import Study
from fmon.warehouse import column, typed_rows
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from fmon.diagnose.root_causes import RootCause
    from fmon.monitor.classify import Examined
    from fmon.rules.f1_wait_for_terminal import UnfinishedCondition
    from fmon.sky.reader import LogReader
    from fmon.warehouse.result import Row

EXAMINE_S = 600.0
"""Time limit for the logs of failures that no poll has examined [s]."""

CANCELLED = """
select condition.condition_id
from condition
where condition.state = 'cancelled'
order by condition.manifest_position
"""

SUMMARY = """
select
    experiment_summary.condition_count,
    experiment_summary.succeeded_count
from experiment_summary
"""

QUERIES = (CANCELLED, SUMMARY, *GATHERED, *CAUSES)
"""The queries of this module; ``connect`` creates the views that they need."""


class Summary(msgspec.Struct, frozen=True):
    """Counts of conditions: the columns of ``SUMMARY``."""

    condition_count: int
    succeeded_count: int


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The failures of a cycle and their root causes.

    Attributes
    ----------
    cycle
        Current cycle of the experiment.
    preliminary_reason
        kill_switch or partial: it was made while jobs were open or failures not examined, and allows no
        fix; selection: it shows only some causes, and is not recorded; None = it is complete.
    condition_count, succeeded_count, failed_count
        Conditions; failed = the newest result is a failure.
    cost_usd, unpriced_count
        Cost of the failed jobs, and how many jobs it does not include.
    open_jobs
        Conditions whose newest job has not ended.
    not_yet_launched
        Conditions of a started cycle that have no job in it yet.
    missing, cancelled
        Conditions that were never launched, and those cancelled.
    causes
        The root causes; with a selection, those that affect one of its conditions.
    selection
        The selection; empty = everything.
    hidden_count
        Root causes that the selection leaves out.
    examined
        What this diagnosis examined.
    unrecorded
        Why it was not recorded, in a sentence; None = the store can be written.
    """

    experiment_id: str
    cycle: int
    preliminary_reason: Literal["kill_switch", "partial", "selection"] | None
    condition_count: int
    succeeded_count: int
    failed_count: int
    cost_usd: Decimal | None
    unpriced_count: int
    open_jobs: list[UnfinishedCondition]
    not_yet_launched: list[str]
    missing: list[str]
    cancelled: list[str]
    causes: list[RootCause]
    selection: tuple[str, ...] = ()
    hidden_count: int = 0
    examined: Examined
    unrecorded: str | None = None

    @property
    def headline(self) -> str:
        """The first line: the best explanation."""
        if explanation := headline(self.causes):
            return explanation
        if self.hidden_count:
            return f"no failure affects the selection: {' '.join(self.selection)}"
        so_far = " so far" if self.open_jobs or self.not_yet_launched else ""
        return f"nothing has failed{so_far}: {self.succeeded_count:,} of {self.condition_count:,} succeeded"

    @property
    def next_step(self) -> str:
        """The next command."""
        if self.not_yet_launched:
            return "fmon relaunch"
        if self.preliminary_reason:
            return "fmon watch" if self.open_jobs else "fmon diagnose"
        return "fmon fix plan" if self.causes else "fmon report"


def diagnose(
    study: Study,
    *,
    is_partial: bool = False,
    logs: LogReader | None,
    now: datetime,
    examine_s: float = EXAMINE_S,
    selections: tuple[str, ...] = (),
) -> Diagnosis:
    """Group all failures of the current cycle by root cause.

    In a store that can't be written, nothing is recorded and no log is requested.

    Parameters
    ----------
    study
        The experiment.
    is_partial
        Allow open jobs; the result is preliminary.
    logs
        Reads the logs that no poll has fetched.
    now
        The clock [UTC].
    examine_s
        Time limit for fetching and classifying logs that no poll has fetched [s].
    selections
        The selection: only causes that affect one of its conditions are returned, and nothing is
        recorded, since F2 requires that all failures have been shown.

    Raises
    ------
    RuleError
        F1: jobs are open, the kill switch has not fired in this cycle, and ``is_partial`` is false.
        F2: a failure could not be examined.
    """
    with workplace(study.store) as (store, unrecorded):
        if unrecorded:
            study, logs = Study(store), None
        found = _diagnose(
            study, is_partial=is_partial, logs=logs, now=now, examine_s=examine_s, selections=selections
        )
    return replace(found, unrecorded=unrecorded)


def _diagnose(
    study: Study,
    *,
    is_partial: bool,
    logs: LogReader | None,
    now: datetime,
    examine_s: float,
    selections: tuple[str, ...],
) -> Diagnosis:
    """Diagnose in a store that can be written; parameters and errors are those of ``diagnose``."""
    cycle = study.manifest.current_cycle
    if selections:
        select_current(study, selections, now=now)  # raises an error before anything is read
    is_lifted = is_partial or f1_is_lifted(study.events, cycle)
    early = unfinished(study.connect((UNFINISHED,), now=now))
    if not is_lifted:
        f1_wait_for_terminal(early)
    budget = Budget(jobs=sys.maxsize, seconds=examine_s)
    examined = examine(study.store, study.manifest, logs, now=now, budget=budget, wait_s=examine_s)
    # Read again: the examination may have waited for another process that changed the store.
    study = Study(study.store)
    con = study.connect(QUERIES, now=now)
    left, not_yet_launched = unfinished(con), waiting(con)
    if not is_lifted:
        f1_wait_for_terminal(left)
        f1_no_interrupted_cycle(not_yet_launched)
    failed = failures(con)
    open_jobs = [row for row in left if row.job_id is not None]
    if not is_partial and not open_jobs and not not_yet_launched:
        f2_aggregate_before_fix(failed)
    causes = root_causes(con)
    is_examined = all(cause.root_cause_id != UNEXAMINED for cause in causes)
    is_complete = is_examined and not open_jobs and not not_yet_launched
    known = [cause.cost_usd for cause in causes if cause.cost_usd is not None]
    (summary,) = typed_rows(con, SUMMARY, Summary)
    diagnosis = Diagnosis(
        experiment_id=study.experiment_id,
        cycle=cycle,
        preliminary_reason=None if is_complete else "partial" if is_partial else "kill_switch",
        condition_count=summary.condition_count,
        succeeded_count=summary.succeeded_count,
        failed_count=len(failed),
        cost_usd=sum(known[1:], known[0]) if known else None,
        unpriced_count=sum(cause.unpriced_count for cause in causes),
        open_jobs=open_jobs,
        not_yet_launched=[row.condition_id for row in not_yet_launched],
        missing=[row.condition_id for row in left if row.job_id is None],
        cancelled=column(con, CANCELLED),
        causes=causes,
        examined=examined,
    )
    if selections:
        return _restricted(diagnosis, selections, select_current(study, selections, now=now))
    _record(study, diagnosis, now=now)
    refresh(study.store, now=now)
    return diagnosis


def _restricted(diagnosis: Diagnosis, words: tuple[str, ...], chosen: Mapping[str, str]) -> Diagnosis:
    """Keep the causes that affect a selected condition."""
    causes = [cause for cause in diagnosis.causes if not chosen.keys().isdisjoint(cause.condition_ids)]
    return replace(
        diagnosis,
        preliminary_reason="selection",
        causes=causes,
        selection=words,
        hidden_count=len(diagnosis.causes) - len(causes),
    )


def as_json(diagnosis: Diagnosis) -> Row:
    """Return a diagnosis as one JSON object; keys are only ever added."""
    return {
        "experiment_id": diagnosis.experiment_id,
        "cycle": diagnosis.cycle,
        "is_preliminary": diagnosis.preliminary_reason is not None,
        "preliminary_reason": diagnosis.preliminary_reason,
        "headline": diagnosis.headline,
        "condition_count": diagnosis.condition_count,
        "succeeded_count": diagnosis.succeeded_count,
        "failed_count": diagnosis.failed_count,
        "cost_usd": diagnosis.cost_usd,
        "unpriced_count": diagnosis.unpriced_count,
        "open": [asdict(row) for row in diagnosis.open_jobs],
        "not_yet_launched": diagnosis.not_yet_launched,
        "missing": diagnosis.missing,
        "cancelled": diagnosis.cancelled,
        "causes": [_cause_json(cause) for cause in diagnosis.causes],
        "selection": list(diagnosis.selection),
        "hidden_cause_count": diagnosis.hidden_count,
        "next": diagnosis.next_step,
    }


def _cause_json(cause: RootCause) -> Row:
    fields = asdict(cause)
    fields["suspects"] = [asdict(suspect) for suspect in cause.suspects]
    return {
        "root_cause_id": fields.pop("root_cause_id"),
        "description": fields.pop("root_cause"),
        "affected_jobs": fields.pop("job_ids"),
        "affected_conditions": fields.pop("condition_ids"),
        "fix_strategy": fields.pop("fix_strategy"),
        "affected_files": fields.pop("affected_files"),
        **fields,
    }


def _record(study: Study, diagnosis: Diagnosis, *, now: datetime) -> None:
    """Write the event, unless the newest one of this cycle has the same content."""
    causes = [
        DiagnosedCause(
            root_cause_id=cause.root_cause_id,
            category=cause.category,
            remedy=cause.remedy,
            confidence=cause.confidence,
            job_ids=cause.job_keys,
            condition_ids=cause.condition_ids,
        )
        for cause in diagnosis.causes
    ]
    is_preliminary = diagnosis.preliminary_reason is not None
    earlier = [
        event
        for event in study.events
        if isinstance(event, DiagnosisEvent) and event.cycle == diagnosis.cycle
    ]
    if (
        earlier
        and earlier[-1].is_preliminary == is_preliminary
        and named_in(earlier[-1].causes) == named_in(causes)
    ):
        return
    event = DiagnosisEvent(
        at=now,
        cycle=diagnosis.cycle,
        is_preliminary=is_preliminary,
        failed_count=diagnosis.failed_count,
        causes=causes,
    )
    study.append(event)
