"""Plan a relaunch: which conditions, in which cycle, with which commands, at what cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import asdict

from fmon.launch.environment import Environment, environment_of
from fmon.launch.estimate import SPENT
from fmon.launch.job_yaml import JobWriter
from fmon.rules.f3_rebuild_before_relaunch import RelaunchRemedy
from fmon.text import listed, money
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from fmon.config.task import Task
    from fmon.model import Condition, Experiment
    from fmon.study import Study

CANDIDATES = """
select
    relaunch_candidate.condition_id,
    relaunch_candidate.job_id,
    relaunch_candidate.reason,
    relaunch_candidate.root_cause_id,
    relaunch_candidate.category,
    relaunch_candidate.remedy,
    relaunch_candidate.fix,
    relaunch_candidate.fixed_by,
    relaunch_candidate.is_without_fix,
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

UNFIXED = """
select condition.condition_id
from condition
inner join failure on condition.job_key = failure.job_key
left join relaunch_candidate on condition.condition_id = relaunch_candidate.condition_id
where failure.remedy = 'unrecoverable' and relaunch_candidate.condition_id is null
order by condition.manifest_position
"""

QUERIES = (CANDIDATES, NEXT, ESTIMATES, SPENT, UNFIXED)
"""The queries of this module; ``connect`` creates the views that they need."""

WORDS = {
    "failed": "failed",
    "kill_switch": "cancelled by the kill switch",
    "cancelled": "cancelled by a person",
    "lost": "closed as lost",
}
"""``relaunch_candidate.reason`` in words."""


class Candidate(RelaunchRemedy, frozen=True):
    """A condition that may run again: the columns of ``CANDIDATES``.

    Attributes
    ----------
    job_id
        Job of its newest attempt.
    reason
        A key of ``WORDS``.
    requires_request
        A person cancelled it.
    is_in_progress
        Its cycle was already started, but it has no job in it yet.
    cycle
        The cycle in which it would run.
    """

    condition_id: str
    job_id: int | None
    reason: str
    category: str | None
    requires_request: bool
    is_in_progress: bool
    cycle: int


class PlannedJob(Candidate, frozen=True):
    """A condition to relaunch, with the command; None = it is no longer in the config."""

    command: str | None


class Estimate(msgspec.Struct, frozen=True):
    """The estimated cost of a condition; None = unknown: the columns of ``ESTIMATES``."""

    condition_id: str
    estimate_usd: Decimal | None


class Authorization(NamedTuple):
    """A person's authorization of one cycle beyond the limit, with its budget."""

    cycle: int
    budget_usd: Decimal
    by: str


@dataclass(frozen=True, kw_only=True)
class RelaunchPlan:
    """The plan of a relaunch.

    Attributes
    ----------
    cycle
        The cycle of the relaunch.
    is_resumed
        That cycle was already started, and interrupted.
    jobs
        Conditions to relaunch, in the order of the manifest.
    left_out
        Conditions that a person cancelled, relaunched only on request.
    unselected
        Other conditions that could be relaunched but are not selected.
    not_candidates
        Conditions that were selected by id but can't be relaunched.
    unfixed
        Conditions with an unrecoverable failure for which no fix is recorded.
    estimate_usd
        Estimated cost of the jobs; None = unknown.
    spent_usd
        Cost of all jobs so far; None = unknown.
    experiment, task, environment, conditions
        The current config, its task YAML, the values for its variables, its conditions by id.
    """

    experiment_id: str
    cycle: int
    is_resumed: bool
    jobs: list[PlannedJob]
    left_out: list[str]
    unselected: list[str]
    not_candidates: list[str]
    unfixed: list[str]
    estimate_usd: Decimal | None
    spent_usd: Decimal | None
    experiment: Experiment
    task: Task
    environment: Environment
    conditions: Mapping[str, Condition]

    def sentences(self) -> list[str]:
        """Return what would be relaunched, and what not and why, for stderr."""
        reasons = Counter(row.reason for row in self.jobs)
        kinds = ", ".join(f"{count:,} {WORDS[each]}" for each, count in reasons.items())
        estimate = "of unknown cost" if self.estimate_usd is None else f"about {money(self.estimate_usd)}"
        spent = "" if self.spent_usd is None else f"; spent so far: {money(self.spent_usd)}"
        resumed = ", resumed" if self.is_resumed else ""
        sentences = [f"{self.experiment_id}: cycle {self.cycle}{resumed}: {kinds}; {estimate}{spent}"]
        if not self.jobs:
            sentences = [f"{self.experiment_id}: nothing to relaunch"]
        if self.unselected:
            sentences.append(f"not selected, left out: {listed(self.unselected)}")
        if self.not_candidates:
            sentences.append(f"selected, but there is nothing to relaunch: {listed(self.not_candidates)}")
        if self.left_out:
            names = listed(self.left_out)
            sentences.append(f"cancelled by a person, relaunched only with --include-cancelled: {names}")
        if self.unfixed:
            names = listed(self.unfixed)
            sentences.append(f"unrecoverable, relaunched only after fmon fix record: {names}")
        return sentences

    def over_budget(self) -> str | None:
        """Return a sentence if the experiment would exceed its budget; None = it would not."""
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
        """The conditions to relaunch."""
        return [row.condition_id for row in self.jobs]

    @property
    def remedies(self) -> list[RelaunchRemedy]:
        """Their remedies and records, for F3."""
        return [
            RelaunchRemedy(row.root_cause_id, row.remedy, row.fix, row.fixed_by, row.is_without_fix)
            for row in self.jobs
        ]


class Chosen(NamedTuple):
    """The conditions of a relaunch.

    Attributes
    ----------
    cycle
        The cycle of the relaunch.
    is_resumed
        That cycle was already started, and interrupted.
    jobs
        The candidates to relaunch.
    left_out
        Conditions that a person cancelled, relaunched only on request.
    unselected
        Other conditions that could be relaunched but are not selected.
    not_candidates
        Conditions that were selected by id but can't be relaunched.
    """

    cycle: int
    is_resumed: bool
    jobs: list[Candidate]
    left_out: list[str]
    unselected: list[str]
    not_candidates: list[str]

    @property
    def condition_ids(self) -> list[str]:
        """The conditions to relaunch."""
        return [row.condition_id for row in self.jobs]


def choose(
    con: duckdb.DuckDBPyConnection, *, include_cancelled: bool, selected: Mapping[str, str] | None
) -> Chosen:
    """Read from the views which conditions to relaunch.

    Parameters
    ----------
    con
        A connection with the views of the experiment, at least those of ``QUERIES``.
    include_cancelled
        Include jobs that a person cancelled.
    selected
        The selected conditions and the words that select them; None = all.
    """
    found = typed_rows(con, CANDIDATES, Candidate)
    in_progress = [row for row in found if row.is_in_progress]
    candidates = in_progress or [row for row in found if include_cancelled or not row.requires_request]
    jobs = [row for row in candidates if selected is None or row.condition_id in selected]
    by_id_only = {name for name, word in (selected or {}).items() if name == word}
    return Chosen(
        cycle=jobs[0].cycle if jobs else column(con, NEXT)[0],
        is_resumed=bool(in_progress),
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
    env_file: Path | None,
    environ: Mapping[str, str],
) -> RelaunchPlan:
    """Return the plan of a relaunch.

    Parameters
    ----------
    study
        The experiment.
    con
        A connection with its views, at least those of ``QUERIES``.
    include_cancelled
        Include jobs that a person cancelled.
    selected
        The selected conditions and the words that select them; None = all.
    env_file
        File of variables that every job gets; None = that of the launch.
    environ
        The environment of fmon.

    Raises
    ------
    ConfigError
        The config, the task YAML or the env file can't be read.
    """
    chosen = choose(con, include_cancelled=include_cancelled, selected=selected)
    by_id = {condition.condition_id: condition for condition in study.experiment.conditions}
    task = study.task
    environment = (
        environment_of(study.manifest, env_file, environ) if chosen.jobs else Environment(environ=environ)
    )
    writer = JobWriter(task, study.experiment, study.experiment_id, environment)
    return RelaunchPlan(
        experiment_id=study.experiment_id,
        cycle=chosen.cycle,
        is_resumed=chosen.is_resumed,
        jobs=[
            PlannedJob(
                **asdict(row),
                # F5 forbids a condition that is no longer in the config.
                command=writer.command(by_id[row.condition_id], chosen.cycle)
                if row.condition_id in by_id
                else None,
            )
            for row in chosen.jobs
        ],
        left_out=chosen.left_out,
        unselected=chosen.unselected,
        not_candidates=chosen.not_candidates,
        unfixed=column(con, UNFIXED),
        estimate_usd=_estimate(typed_rows(con, ESTIMATES, Estimate), set(chosen.condition_ids)),
        spent_usd=column(con, SPENT)[0],
        experiment=study.experiment,
        task=task,
        environment=environment,
        conditions=by_id,
    )


def _estimate(estimates: list[Estimate], condition_ids: set[str]) -> Decimal | None:
    """Return the sum of the estimates; None if one is unknown."""
    known = [row.estimate_usd for row in estimates if row.condition_id in condition_ids]
    total = Decimal(0)
    for each in known:
        if each is None:
            return None
        total += each
    return total
