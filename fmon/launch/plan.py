"""Phase 1, before anything is launched: the plan of a config.

Reads the config, its task YAML and, for prices, SkyPilot's catalog; changes nothing.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.config import load_experiment
from fmon.config.task import Task, read_task
from fmon.launch.estimate import estimate
from fmon.launch.preflight import Check, checks
from fmon.launch.refusals import refuse_job_names
from fmon.model import MAX_CONDITIONS
from fmon.sky.prices import catalog_prices
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmon.model import Level
    from fmon.sky.prices import Catalog


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a config.

    Attributes
    ----------
    factors
        Levels by factor.
    grid_count
        Cells of the entire grid, including the excluded ones.
    inner_count
        Evaluations inside all jobs of the grid, by ``inner_factors``; 0 = none.
    condition_count
        Jobs to launch.
    expected_h
        Sum of the expected run times [h]; None = the config has none.
    cost_usd
        Expected hours x price, over the conditions for which both are known; None = for none.
    price_sources
        Sources of the prices.
    unpriced_count
        Conditions without a known price or an expected time, not in ``cost_usd``.
    """

    experiment_name: str
    config_file: str
    skypilot_yaml: str
    factors: dict[str, list[Level]]
    inner_factors: dict[str, list[Level]]
    grid_count: int
    excluded_count: int
    baseline_count: int
    condition_count: int
    inner_count: int
    expected_h: float | None
    cost_usd: float | None
    price_sources: list[str]
    unpriced_count: int
    checks: list[Check]


def plan(
    path: Path,
    *,
    max_conditions: int = MAX_CONDITIONS,
    ask: Callable[..., Any] = ask_worker,
    catalog: Catalog = catalog_prices,
) -> Plan:
    """Compute grid, counts, checks and estimated cost; changes nothing.

    Parameters
    ----------
    path
        The experiment's config.
    max_conditions
        Maximum number of conditions of the config.
    ask
        Asks SkyPilot's worker to parse the task YAML.
    catalog
        Returns SkyPilot's prices of accelerators.

    Raises
    ------
    ConfigError
        The config can't be used, or SkyPilot would misread the name of a job.
    """
    experiment = load_experiment(path, max_conditions=max_conditions)
    refuse_job_names(experiment)
    task = read_task(experiment)
    found = estimate(experiment, task, catalog=catalog)
    counts = [sum(each.kind == kind for each in experiment.conditions) for kind in ("grid", "baseline")]
    grid_count = math.prod(len(levels) for levels in experiment.factors.values())
    inner = math.prod(len(levels) for levels in experiment.inner_factors.values())
    return Plan(
        experiment_name=experiment.experiment_name,
        config_file=experiment.config_file,
        skypilot_yaml=experiment.skypilot_yaml,
        factors=experiment.factors,
        inner_factors=experiment.inner_factors,
        grid_count=grid_count,
        excluded_count=grid_count - counts[0],
        baseline_count=counts[1],
        condition_count=len(experiment.conditions),
        inner_count=counts[0] * inner if experiment.inner_factors else 0,
        expected_h=found.expected_h,
        cost_usd=found.cost_usd,
        price_sources=found.sources,
        unpriced_count=len(found.unpriced),
        checks=checks(
            experiment, task, found, parse=partial(_parse, ask=ask), environ=os.environ, folder=Path.cwd()
        ),
    )


def _parse(task: Task, *, ask: Callable[..., Any]) -> int:
    """Let SkyPilot parse the task YAML, in its own process."""
    secrets = [f"secret:{name}" for name in task.unset_secrets]
    return int(ask("task", str(task.path.absolute()), *task.unset, *secrets))
