"""Phase 3, diagnose: every failure of the cycle gathered into root causes, in one report.

Examines what nobody has examined yet, reads the views, writes the event. Changes nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import asdict

from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import UNFINISHED, begun, failures, unfinished
from fmon.diagnose.root_causes import QUERIES as CAUSES
from fmon.diagnose.root_causes import headline, root_causes
from fmon.events import DiagnosedCause, DiagnosisEvent
from fmon.monitor.classify import Budget, examine
from fmon.rules.f1_wait_for_terminal import f1_is_lifted, f1_not_cut_short, f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import UNEXAMINED, f2_aggregate_before_fix, named_in
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
"""Longest time for the logs of failures that no poll has examined [s]."""

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
"""What is asked; ``connect`` makes the views for it."""


class Summary(msgspec.Struct, frozen=True):
    """Counts of conditions: the columns of ``SUMMARY``."""

    condition_count: int
    succeeded_count: int


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What failed, and with what cause.

    Attributes
    ----------
    cycle
        Of the experiment.
    preliminary_reason
        kill_switch or partial: it was made while jobs were open or failures not examined, and opens no fix;
        selection: it shows only some causes, and is not recorded; None = it is complete.
    condition_count, succeeded_count, failed_count
        Conditions; failed is whose newest result is a failure.
    cost_usd, unpriced_count
        What the failed jobs have wasted, and how many are not in it.
    open_jobs
        Conditions whose newest job has not ended.
    not_yet_launched
        Conditions that have no job yet of a cycle that was started.
    missing, cancelled
        Conditions that were never launched, and those cancelled.
    causes
        Of ``root_causes``; where there is a selection, those that affect one of its conditions.
    selection
        Its words; none = everything.
    hidden_count
        Root causes that the selection leaves out.
    examined
        What was examined now.
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

    @property
    def headline(self) -> str:
        """The first line: what explains most."""
        if told := headline(self.causes):
            return told
        if self.hidden_count:
            return f"no failure affects the selection: {' '.join(self.selection)}"
        so_far = " so far" if self.open_jobs or self.not_yet_launched else ""
        return f"nothing has failed{so_far}: {self.succeeded_count:,} of {self.condition_count:,} succeeded"

    @property
    def next_step(self) -> str:
        """The command that comes next."""
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

    Parameters
    ----------
    study
        The experiment.
    is_partial
        Also while jobs are open: preliminary.
    logs
        Where logs are read from that no poll has fetched.
    now
        The clock [UTC].
    examine_s
        How long it may fetch and classify logs that no poll has [s].
    selections
        Words of a selection: only causes that affect one of its conditions are returned, and nothing is
        recorded, since F2 asks that all failures have been shown.

    Raises
    ------
    RuleError
        F1: jobs are open, the kill switch has not fired in this cycle and no preliminary look was asked
        for. F2: a failure could not be examined.
    """
    cycle = study.manifest.current_cycle
    if selections:
        select_current(study, selections, now=now)  # a wrong word is refused before anything is read
    is_lifted = is_partial or f1_is_lifted(study.events, cycle)
    early = unfinished(study.connect((UNFINISHED,), now=now))
    if not is_lifted:
        f1_wait_for_terminal(early)
    budget = Budget(jobs=sys.maxsize, seconds=examine_s)
    examined = examine(study.store, study.manifest, logs, now=now, budget=budget, wait_s=examine_s)
    # Read again: what is known so far is as of before the examination, which may have waited for others.
    study = Study(study.store)
    con = study.connect(QUERIES, now=now)
    left, not_yet_launched = unfinished(con), begun(con)
    if not is_lifted:
        f1_wait_for_terminal(left)
        f1_not_cut_short(not_yet_launched)
    failed = failures(con)
    open_jobs = [row for row in left if row.job_id is not None]
    if not is_partial and not open_jobs and not not_yet_launched:
        f2_aggregate_before_fix(failed)
    causes = root_causes(con)
    is_examined = all(cause.root_cause_id != UNEXAMINED for cause in causes)
    is_whole = is_examined and not open_jobs and not not_yet_launched
    known = [cause.cost_usd for cause in causes if cause.cost_usd is not None]
    (summary,) = typed_rows(con, SUMMARY, Summary)
    diagnosis = Diagnosis(
        experiment_id=study.experiment_id,
        cycle=cycle,
        preliminary_reason=None if is_whole else "partial" if is_partial else "kill_switch",
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
    """Give a diagnosis as one object for programs; the contract is in the design, keys are only added."""
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
    told = asdict(cause)
    told["suspects"] = [asdict(suspect) for suspect in cause.suspects]
    return {
        "root_cause_id": told.pop("root_cause_id"),
        "description": told.pop("root_cause"),
        "affected_jobs": told.pop("job_ids"),
        "affected_conditions": told.pop("condition_ids"),
        "fix_strategy": told.pop("fix_strategy"),
        "affected_files": told.pop("affected_files"),
        **told,
    }


def _record(study: Study, diagnosis: Diagnosis, *, now: datetime) -> None:
    """Write the event, unless the newest one of this cycle says the same: looking again finds nothing new."""
    causes = [
        DiagnosedCause(
            root_cause_id=cause.root_cause_id,
            category=cause.category,
            remedy=cause.remedy,
            confidence=cause.confidence,
            job_ids=cause.job_ids,
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
