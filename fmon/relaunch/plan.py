"""What would be run again, in which cycle, by which commands and for how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import asdict

from fmon.launch.job_yaml import job_envs
from fmon.relaunch.command import typed_launch
from fmon.text import listed, money
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from fmon.config.task import Task
    from fmon.model import Condition, Experiment
    from fmon.study import Study

LISTED = """
select
    relaunch_candidate.condition_id,
    relaunch_candidate.job_id,
    relaunch_candidate.reason,
    relaunch_candidate.root_cause_id,
    relaunch_candidate.category,
    relaunch_candidate.remedy,
    relaunch_candidate.requires_request,
    relaunch_candidate.is_in_progress,
    relaunch_candidate.cycle
from relaunch_candidate
order by relaunch_candidate.manifest_position
"""

NEXT = "select newest_cycle.cycle + 1 as cycle from newest_cycle"

ESTIMATES = """
select
    cost_estimate.condition_id,
    cost_estimate.estimate_usd
from cost_estimate
"""

SPENT = "select experiment_summary.cost_usd as spent_usd from experiment_summary"

UNMENDED = """
select condition.condition_id
from condition
inner join failure on condition.job_id = failure.job_id
left join relaunch_candidate on condition.condition_id = relaunch_candidate.condition_id
where failure.remedy = 'unrecoverable' and relaunch_candidate.condition_id is null
order by condition.manifest_position
"""

QUERIES = (LISTED, NEXT, ESTIMATES, SPENT, UNMENDED)
"""What is asked here; ``connect`` makes the views for it."""

WORDS = {
    "failed": "failed",
    "kill_switch": "cancelled by the kill switch",
    "cancelled": "cancelled by a person",
    "lost": "closed as lost",
}
"""How ``relaunch_candidate.reason`` is worded."""


class Candidate(msgspec.Struct, frozen=True):
    """A condition that may run again: the columns of ``LISTED``.

    Attributes
    ----------
    job_id
        Of its newest attempt.
    reason
        A key of ``WORDS``.
    requires_request
        A person cancelled it.
    is_in_progress
        The cycle was started already, and has no job of it yet.
    cycle
        The one that it would run in.
    """

    condition_id: str
    job_id: int | None
    reason: str
    root_cause_id: str | None
    category: str | None
    remedy: str | None
    requires_request: bool
    is_in_progress: bool
    cycle: int


class PlannedJob(Candidate, frozen=True):
    """A condition to run again, with the command; None = the config does not have it any more."""

    command: str | None


class Estimate(msgspec.Struct, frozen=True):
    """What a condition will cost; None = unknown: the columns of ``ESTIMATES``."""

    condition_id: str
    estimate_usd: Decimal | None


class Authorization(NamedTuple):
    """A person's word that one cycle beyond the allowed ones may be run, and for how much."""

    cycle: int
    budget_usd: Decimal
    by: str


@dataclass(frozen=True, kw_only=True)
class RelaunchPlan:
    """What would be run again.

    Attributes
    ----------
    cycle
        The cycle that it would be.
    is_carried_on
        That cycle was started already, and interrupted.
    jobs
        Conditions to run again, in the order of the manifest.
    left_out
        Conditions that a person cancelled, which run again only on request.
    unselected
        Further conditions that could be run again, which the selection leaves out.
    not_candidates
        Conditions that were selected by id, and are none of those to run again.
    unfixed
        Conditions that failed with something unrecoverable about which no fix is recorded.
    estimate_usd
        What the jobs will cost; None = unknown.
    spent_usd
        What all jobs so far have cost; None = unknown.
    experiment, task, conditions
        The config as it is now, its task YAML, its conditions by id.
    """

    experiment_id: str
    cycle: int
    is_carried_on: bool
    jobs: list[PlannedJob]
    left_out: list[str]
    unselected: list[str]
    not_candidates: list[str]
    unfixed: list[str]
    estimate_usd: Decimal | None
    spent_usd: Decimal | None
    experiment: Experiment
    task: Task
    conditions: Mapping[str, Condition]

    def sentences(self) -> list[str]:
        """Say what would be run again, and what not and why, for stderr."""
        reasons = Counter(row.reason for row in self.jobs)
        kinds = ", ".join(f"{count:,} {WORDS[each]}" for each, count in reasons.items())
        estimate = "of unknown cost" if self.estimate_usd is None else f"about {money(self.estimate_usd)}"
        spent = "" if self.spent_usd is None else f"; spent so far: {money(self.spent_usd)}"
        begun = ", resumed" if self.is_carried_on else ""
        said = [f"{self.experiment_id}: cycle {self.cycle}{begun}: {kinds}; {estimate}{spent}"]
        if not self.jobs:
            said = [f"{self.experiment_id}: nothing to relaunch"]
        if self.unselected:
            said.append(f"not selected, left out: {listed(self.unselected)}")
        if self.not_candidates:
            said.append(f"selected, but there is nothing to relaunch: {listed(self.not_candidates)}")
        if self.left_out:
            told = listed(self.left_out)
            said.append(f"cancelled by a person, only with --include-cancelled: {told}")
        if self.unfixed:
            told = listed(self.unfixed)
            said.append(f"unrecoverable, only once its fix is recorded (fmon fix record): {told}")
        return said

    def over_budget(self) -> str | None:
        """Compare the experiment's budget with what it will have cost; None = it is within the budget."""
        budget = self.experiment.limits.budget_usd
        if budget is None:
            return None
        if self.estimate_usd is None:
            return f"the cost of cycle {self.cycle} is unknown, limits.budget_usd is {budget:g}"
        spent = self.spent_usd or Decimal(0)
        if spent + self.estimate_usd <= Decimal(str(budget)):
            return None
        return (
            f"cycle {self.cycle} costs about {money(self.estimate_usd)} after {money(spent)} so far, "
            f"limits.budget_usd is {budget:g}"
        )

    @property
    def commands(self) -> list[str]:
        """The launches as a person would type them."""
        return [row.command for row in self.jobs if row.command]

    @property
    def condition_ids(self) -> list[str]:
        """The conditions to run again."""
        return [row.condition_id for row in self.jobs]

    @property
    def remedies(self) -> frozenset[str | None]:
        """What is to be done about them, each once."""
        return frozenset(row.remedy for row in self.jobs)


class Chosen(NamedTuple):
    """Which conditions would be run again.

    Attributes
    ----------
    cycle
        The cycle that it would be.
    is_carried_on
        That cycle was started already, and interrupted.
    jobs
        The rows of ``LISTED`` to run again.
    left_out
        Conditions that a person cancelled, which run again only on request.
    unselected
        Further conditions that could be run again, which the selection leaves out.
    not_candidates
        Conditions that were selected by id, and are none of those to run again.
    """

    cycle: int
    is_carried_on: bool
    jobs: list[Candidate]
    left_out: list[str]
    unselected: list[str]
    not_candidates: list[str]

    @property
    def condition_ids(self) -> list[str]:
        """The conditions to run again."""
        return [row.condition_id for row in self.jobs]


def choose(
    con: duckdb.DuckDBPyConnection, *, include_cancelled: bool, selected: Mapping[str, str] | None
) -> Chosen:
    """Ask the views what would be run again.

    Parameters
    ----------
    con
        The views of the experiment, at least for ``QUERIES``.
    include_cancelled
        Include jobs that a person cancelled.
    selected
        The selected conditions and the words that select them; None = all.
    """
    found = typed_rows(con, LISTED, Candidate)
    begun = [row for row in found if row.is_in_progress]
    candidates = begun or [row for row in found if include_cancelled or not row.requires_request]
    jobs = [row for row in candidates if selected is None or row.condition_id in selected]
    by_id_only = {name for name, word in (selected or {}).items() if name == word}
    return Chosen(
        cycle=jobs[0].cycle if jobs else column(con, NEXT)[0],
        is_carried_on=bool(begun),
        jobs=jobs,
        left_out=[row.condition_id for row in found if row.requires_request and row not in candidates],
        unselected=[row.condition_id for row in candidates if row not in jobs],
        not_candidates=sorted(by_id_only - {row.condition_id for row in found}),
    )


def plan_relaunch(
    study: Study,
    con: duckdb.DuckDBPyConnection,
    *,
    include_cancelled: bool,
    selected: Mapping[str, str] | None,
) -> RelaunchPlan:
    """Find out what would be run again.

    Parameters
    ----------
    study
        The experiment.
    con
        Its views, at least for ``QUERIES``.
    include_cancelled
        Include jobs that a person cancelled.
    selected
        The selected conditions and the words that select them; None = all.

    Raises
    ------
    ConfigError
        The config or the task YAML can't be read.
    """
    chosen = choose(con, include_cancelled=include_cancelled, selected=selected)
    by_id = {condition.condition_id: condition for condition in study.experiment.conditions}
    task = study.task
    return RelaunchPlan(
        experiment_id=study.experiment_id,
        cycle=chosen.cycle,
        is_carried_on=chosen.is_carried_on,
        jobs=[
            PlannedJob(**asdict(row), command=_command(study, by_id.get(row.condition_id), chosen.cycle))
            for row in chosen.jobs
        ],
        left_out=chosen.left_out,
        unselected=chosen.unselected,
        not_candidates=chosen.not_candidates,
        unfixed=column(con, UNMENDED),
        estimate_usd=_estimate(typed_rows(con, ESTIMATES, Estimate), set(chosen.condition_ids)),
        spent_usd=column(con, SPENT)[0],
        experiment=study.experiment,
        task=task,
        conditions=by_id,
    )


def _command(study: Study, condition: Condition | None, cycle: int) -> str | None:
    """Write the launch of a job; None where the config has the condition no more, which F5 refuses."""
    if condition is None:
        return None
    envs = job_envs(study.experiment, condition, experiment_id=study.experiment_id, cycle=cycle)
    return typed_launch(study.task, condition, envs)


def _estimate(estimates: list[Estimate], wanted: set[str]) -> Decimal | None:
    """Add up what is known for each of the conditions; None where it is unknown for one."""
    known = [row.estimate_usd for row in estimates if row.condition_id in wanted]
    total = Decimal(0)
    for each in known:
        if each is None:
            return None
        total += each
    return total
