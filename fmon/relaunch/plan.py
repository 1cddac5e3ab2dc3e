"""Plan a relaunch: which conditions, in which cycle, with which commands, at what cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import asdict

from fmon.fix.candidates import QUERIES as CANDIDATE_QUERIES
from fmon.fix.candidates import Candidate, choose, left_out_sentences, remedies_of
from fmon.launch.environment import Environment, environment_of
from fmon.launch.job_yaml import JobWriter
from fmon.launch.preflight import DEFAULT_BUDGET_USD
from fmon.text import cost, counted, listed, money
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from fmon.config.task import Task
    from fmon.model import Condition, Experiment
    from fmon.rules.f3_rebuild_before_relaunch import RelaunchRemedy
    from fmon.study import Study

ESTIMATES = """
select
    cost_estimate.condition_id,
    cost_estimate.estimate_usd
from cost_estimate
"""

SPENT = """
select
    experiment_summary.cost_usd,
    experiment_summary.unpriced_count
from experiment_summary
"""

UNFIXED = """
select condition.condition_id
from condition
inner join failure on condition.job_key = failure.job_key
left join relaunch_candidate on condition.condition_id = relaunch_candidate.condition_id
where failure.remedy = 'unrecoverable' and relaunch_candidate.condition_id is null
order by condition.manifest_position
"""

QUERIES = (*CANDIDATE_QUERIES, ESTIMATES, SPENT, UNFIXED)
"""The queries of this module; ``connect`` creates the views that they need."""

WORDS = {
    "failed": "failed",
    "kill_switch": "cancelled by the kill switch",
    "cancelled": "cancelled by a person",
    "lost": "closed as lost",
}
"""``relaunch_candidate.reason`` in words."""


class PlannedJob(Candidate, frozen=True):
    """A condition to relaunch, with the command; None = it is no longer in the config."""

    command: str | None


class Estimate(msgspec.Struct, frozen=True):
    """The estimated cost of a condition; None = unknown: the columns of ``ESTIMATES``."""

    condition_id: str
    estimate_usd: Decimal | None


class Spent(msgspec.Struct, frozen=True):
    """The known cost of all jobs so far, and how many jobs it does not include: the columns of ``SPENT``."""

    cost_usd: Decimal | None
    unpriced_count: int


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
    spent
        Cost of all jobs so far.
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
    spent: Spent
    experiment: Experiment
    task: Task
    environment: Environment
    conditions: Mapping[str, Condition]

    def sentences(self) -> list[str]:
        """Return what would be relaunched, and what not and why, for stderr."""
        reasons = Counter(row.reason for row in self.jobs)
        kinds = ", ".join(f"{count:,} {WORDS[each]}" for each, count in reasons.items())
        estimate = "of unknown cost" if self.estimate_usd is None else f"about {money(self.estimate_usd)}"
        spent = f"; spent so far: {cost(self.spent.cost_usd, self.spent.unpriced_count)}"
        resumed = ", resumed" if self.is_resumed else ""
        sentences = [f"{self.experiment_id}: cycle {self.cycle}{resumed}: {kinds}; {estimate}{spent}"]
        if not self.jobs:
            sentences = [f"{self.experiment_id}: nothing to relaunch"]
        sentences += left_out_sentences(
            unselected=self.unselected, not_candidates=self.not_candidates, left_out=self.left_out
        )
        if self.unfixed:
            names = listed(self.unfixed)
            sentences.append(f"unrecoverable, relaunched only after fmon fix record: {names}")
        over_budget = self.over_budget() if self.jobs else None
        if over_budget:
            sentences.append(f"over budget: {over_budget}; fmon relaunch asks, or needs --over-budget")
        return sentences

    def over_budget(self) -> str | None:
        """Return a sentence if the experiment would exceed its budget, or may do so; None = it would not.

        Without a budget in the config, that of launch applies to what is known.
        """
        budget = self.experiment.limits.budget_usd
        spent, estimate = self.spent.cost_usd or Decimal(0), self.estimate_usd or Decimal(0)
        total = spent + estimate
        is_known = self.estimate_usd is not None and not self.spent.unpriced_count
        limit = Decimal(str(DEFAULT_BUDGET_USD if budget is None else budget))
        if total <= limit and (is_known or budget is None):
            return None
        costs = "has an unknown cost" if self.estimate_usd is None else f"costs about {money(estimate)}"
        before = f"{money(spent)} spent so far"
        if self.spent.unpriced_count:
            before += f" and {counted(self.spent.unpriced_count, 'job')} of unknown cost"
        allowed = (
            f"limits.budget_usd is not set: fmon asks above {money(limit)}"
            if budget is None
            else f"limits.budget_usd is {budget:g}"
        )
        together = f"{'' if is_known else 'at least '}{money(total)}"
        return f"cycle {self.cycle} {costs} on top of {before}: {together} in total; {allowed}"

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
        return remedies_of(self.jobs)


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
        spent=typed_rows(con, SPENT, Spent)[0],
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
