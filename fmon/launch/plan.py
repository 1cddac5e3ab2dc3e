"""Phase 1, before anything is launched: the plan of a config.

Reads the config, its task YAML and, for prices, SkyPilot's catalog; needs no server and changes nothing.
"""

from __future__ import annotations

import math
import os
import shlex
from dataclasses import dataclass
from functools import partial
from heapq import heapreplace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.config import load_experiment
from fmon.config.task import Task, read_task
from fmon.errors import ConfigError
from fmon.launch.environment import read_environment
from fmon.launch.estimate import cost_of, estimate
from fmon.launch.job_yaml import JobWriter
from fmon.launch.preflight import NO_CONSENT, Consent, checks, parse_apart, parse_kinds
from fmon.launch.preflight_commands import commands_before
from fmon.model import MAX_CONDITIONS, envs_of
from fmon.sky.prices import catalog_prices
from fmon.sky.sdk import ask_worker
from fmon.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmon.launch.check import Check
    from fmon.launch.estimate import Estimate
    from fmon.model import Experiment, Level
    from fmon.sky.prices import Catalog


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The number of conditions, and what it consists of.

    Attributes
    ----------
    condition
        Jobs to launch: ``grid`` - ``excluded`` + ``baseline``.
    grid
        Cells of the entire grid, including the excluded ones.
    inner
        Evaluations inside all jobs of the grid, by ``inner_factors``; 0 = none.
    """

    condition: int
    grid: int
    excluded: int
    baseline: int
    inner: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The estimate for all conditions.

    Attributes
    ----------
    estimated_usd
        Expected hours x price, over the conditions for which both are known; None = for none.
    expected_h
        Sum of the expected run times [h]; None = the config has none.
    wall_clock_h
        Time until the last job ends if ``parallel_jobs`` run at the same time, without waiting for
        machines [h]; None = unknown.
    parallel_jobs
        ``expect.parallel``; None = all at the same time.
    price_sources
        Sources of the prices.
    unpriced_count
        Conditions without a known price or an expected time, not in ``estimated_usd``.
    """

    estimated_usd: float | None
    expected_h: float | None
    wall_clock_h: float | None
    parallel_jobs: int | None
    price_sources: list[str]
    unpriced_count: int


@dataclass(frozen=True, kw_only=True)
class PlannedCondition:
    """A condition as it would be launched; ``resources`` are those that differ from the task's."""

    condition_id: str
    job_name: str
    envs: dict[str, str]
    resources: dict[str, Any]
    expected_minutes: float | None
    estimated_usd: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a config.

    Attributes
    ----------
    factors, inner_factors
        Levels by factor.
    study_file
        The file in the study's form: the config or its base; None = neither is.
    defaults
        Defaults of the study's launcher for keys that the config lacks.
    unused_keys
        Keys of a config in the study's form that fmon does not use.
    preflight
        The commands that ``launch`` runs before the first job, redacted.
    arguments
        The config and the options, as given, for the next command.
    """

    experiment_name: str
    config_file: str
    skypilot_yaml: str
    factors: dict[str, list[Level]]
    inner_factors: dict[str, list[Level]]
    study_file: str | None
    defaults: dict[str, str]
    unused_keys: list[str]
    counts: Counts
    cost: Cost
    checks: list[Check]
    conditions: list[PlannedCondition]
    preflight: list[str]
    arguments: list[str]

    @property
    def has_failed(self) -> bool:
        """Whether a check failed: ``launch`` would refuse."""
        return any(check.result == "fail" for check in self.checks)

    def require_passed(self) -> None:
        """Raise an error if a check failed.

        Raises
        ------
        ConfigError
            It names how many.
        """
        count = sum(check.result == "fail" for check in self.checks)
        if count:
            message = f"{counted(count, 'check')} failed, so fmon launch would refuse {self.config_file}"
            raise ConfigError(message)

    @property
    def next_command(self) -> str:
        """What to do next."""
        verb = "plan" if self.has_failed else "launch"
        return shlex.join(["fmon", verb, *self.arguments])


def launch_arguments(
    path: Path,
    *,
    task_file: Path | None,
    env_file: Path | None,
    max_conditions: int,
    consent: Consent,
) -> list[str]:
    """Return the words after ``fmon plan`` or ``fmon launch``; the parameters are those of ``plan``."""
    words = [str(path)]
    words += ["--task", str(task_file)] if task_file else []
    words += ["--env-file", str(env_file)] if env_file else []
    words += ["--max-conditions", str(max_conditions)] if max_conditions != MAX_CONDITIONS else []
    words += ["--allow-bare-vm"] if consent.bare_vm else []
    words += ["--over-budget"] if consent.over_budget else []
    return words


def plan(
    path: Path,
    *,
    task_file: Path | None = None,
    env_file: Path | None = None,
    max_conditions: int = MAX_CONDITIONS,
    consent: Consent = NO_CONSENT,
    ask: Callable[..., Any] = ask_worker,
    catalog: Catalog = catalog_prices,
) -> Plan:
    """Compute grid, counts, checks and estimated cost; changes nothing.

    Parameters
    ----------
    path
        The experiment's config.
    task_file
        The task YAML to use instead of the config's.
    env_file
        File of variables that every job would get.
    max_conditions
        Maximum number of conditions of the config.
    consent
        What ``launch`` would be allowed.
    ask
        Asks SkyPilot's worker to parse the jobs' task YAMLs.
    catalog
        Returns SkyPilot's prices of accelerators.

    Raises
    ------
    ConfigError
        The config can't be used.
    """
    experiment = load_experiment(path, task=task_file, max_conditions=max_conditions)
    task = read_task(experiment)
    found = estimate(experiment, task, catalog=catalog)
    environment = read_environment(os.environ, env_file)
    writer = JobWriter(task, experiment, f"{experiment.experiment_name}-plan", environment)
    return Plan(
        experiment_name=experiment.experiment_name,
        config_file=experiment.config_file,
        skypilot_yaml=experiment.skypilot_yaml,
        factors=experiment.factors,
        inner_factors=experiment.inner_factors,
        study_file=experiment.study_file,
        defaults=experiment.defaults,
        unused_keys=list(experiment.study_keys),
        counts=_counts(experiment),
        cost=Cost(
            estimated_usd=found.cost_usd,
            expected_h=found.expected_h,
            wall_clock_h=_wall_clock_h(experiment),
            parallel_jobs=experiment.parallel_jobs,
            price_sources=found.sources,
            unpriced_count=len(found.unpriced),
        ),
        checks=checks(
            experiment,
            task,
            found,
            parse=partial(parse_kinds, partial(parse_apart, ask=ask), writer, experiment.conditions, cycle=0),
            environment=environment,
            folder=Path.cwd(),
            consent=consent,
        ),
        conditions=list(_planned(experiment, task, found)),
        preflight=commands_before(experiment),
        arguments=launch_arguments(
            path, task_file=task_file, env_file=env_file, max_conditions=max_conditions, consent=consent
        ),
    )


def _counts(experiment: Experiment) -> Counts:
    kinds = [condition.kind for condition in experiment.conditions]
    grid = math.prod(len(levels) for levels in experiment.factors.values())
    inner = math.prod(len(levels) for levels in experiment.inner_factors.values())
    return Counts(
        condition=len(kinds),
        grid=grid,
        excluded=grid - kinds.count("grid"),
        baseline=kinds.count("baseline"),
        inner=kinds.count("grid") * inner if experiment.inner_factors else 0,
    )


def _wall_clock_h(experiment: Experiment) -> float | None:
    """Return the time until the last job ends [h]: jobs start in their order, each when another one ends."""
    minutes = [each.expected_minutes for each in experiment.conditions]
    known = [each for each in minutes if each is not None]
    if not known or len(known) < len(minutes):
        return None
    free_at = [0.0] * min(experiment.parallel_jobs or len(known), len(known))
    for each in known:
        heapreplace(free_at, free_at[0] + each)
    return max(free_at) / 60


def _planned(experiment: Experiment, task: Task, found: Estimate) -> Iterator[PlannedCondition]:
    regions = next((each["ordered"] for each in task.resources if experiment.region_file), None)
    common = {"ordered": regions} if regions else {}
    costs: dict[tuple[int, float | None], float | None] = {}
    for condition in experiment.conditions:
        # Conditions of the same levels share their resources; most grids have few kinds.
        kind = id(condition.resources), condition.expected_minutes
        if kind not in costs:
            costs[kind] = cost_of([condition], task, found.prices).cost_usd
        yield PlannedCondition(
            condition_id=condition.condition_id,
            job_name=condition.job_name,
            envs=envs_of(experiment, condition),
            resources={**common, **condition.resources},
            expected_minutes=condition.expected_minutes,
            estimated_usd=costs[kind],
        )
