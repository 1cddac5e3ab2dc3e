"""Phase 1, before anything is launched: what a config amounts to (floor 6).

Reads the config, its task YAML and, for prices, SkyPilot's catalog; changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import (
    Check,
    Machine,
    Task,
    accelerator_check,
    hourly_price,
    image_check,
    machines_of,
    read_task,
)
from fmon.errors import QueueError
from fmon.sky.prices import catalog_prices
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fmon.model import Experiment, Level, Limits, Price

SKYPILOT_COULD_NOT_RUN = {"Timeout", "WorkerFailed", "ImportError", "ModuleNotFoundError", "KeyError"}
"""Failures of asking SkyPilot that say nothing about the task YAML."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a config amounts to.

    Attributes
    ----------
    factors : levels by factor
    grid_count : cells of the whole grid, the excluded ones too
    inner_count : evaluations inside all jobs of the grid, by ``inner_factors``; 0 = none
    condition_count : jobs to launch
    expected_h : sum of the expected run times [h]; None = the config says none
    cost_usd : expected hours x price, over the conditions where both are known; None = for none
    price_sources : where the prices are from
    unpriced_count : conditions without a known price or an expected time, not in ``cost_usd``
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


@dataclass(frozen=True, kw_only=True)
class _Estimate:
    """Sums over the conditions."""

    expected_h: float | None
    cost_usd: float | None
    dearest_usd_per_h: float | None
    sources: list[str]
    unpriced: list[str]
    unpriced_machines: list[str]


def plan(path: Path, *, max_conditions: int = 100_000) -> Plan:
    """Work out grid, counts, checks and estimated cost; changes nothing.

    Parameters
    ----------
    path : the experiment's config
    max_conditions : most conditions it may have
    """
    experiment = load_experiment(path, max_conditions=max_conditions)
    task = read_task(experiment)
    machines = {condition.condition_id: machines_of(task, condition) for condition in experiment.conditions}
    names = sorted({machine.accelerator for found in machines.values() for machine in found})
    known = {name.lower() for name in experiment.prices}
    prices = catalog_prices(name for name in names if name.lower() not in known) | experiment.prices
    estimate = _estimate(experiment, machines, prices, node_count=task.node_count)
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
        expected_h=estimate.expected_h,
        cost_usd=estimate.cost_usd,
        price_sources=estimate.sources,
        unpriced_count=len(estimate.unpriced),
        checks=[
            _task_check(task),
            image_check(task, experiment.docker_image),
            accelerator_check(names, experiment.limits),
            _price_check(estimate, names),
            _hourly_check(estimate, experiment.limits),
            _budget_check(estimate, experiment.limits),
        ],
    )


def _estimate(
    experiment: Experiment,
    machines: Mapping[str, list[Machine]],
    prices: Mapping[str, Price],
    *,
    node_count: int,
) -> _Estimate:
    """Add up expected hours and what they cost."""
    hours: list[float] = []
    costs: list[float] = []
    hourly: list[tuple[float, str]] = []
    unpriced: list[str] = []
    without_price: set[str] = set()
    for condition in experiment.conditions:
        found = machines[condition.condition_id]
        price = hourly_price(found, prices, node_count=node_count)
        expected_h = None if condition.expected_minutes is None else condition.expected_minutes / 60
        if price is not None:
            hourly.append(price)
        else:
            without_price.update(machine.accelerator for machine in found)
        if expected_h is not None:
            hours.append(expected_h)
        if price is not None and expected_h is not None:
            costs.append(price[0] * expected_h)
        else:
            unpriced.append(condition.condition_id)
    return _Estimate(
        expected_h=math.fsum(hours) if hours else None,
        cost_usd=math.fsum(costs) if costs else None,
        dearest_usd_per_h=max((price for price, _ in hourly), default=None),
        sources=sorted({source for _, source in hourly}),
        unpriced=unpriced,
        unpriced_machines=sorted(without_price),
    )


def _task_check(task: Task) -> Check:
    """Let SkyPilot itself parse the task YAML; it rejects fields that plain YAML does not."""
    try:
        secrets = [f"secret:{name}" for name in task.unset_secrets]
        count = ask_worker("task", str(task.path.absolute()), *task.unset, *secrets)
    except QueueError as fault:
        if fault.error_type in SKYPILOT_COULD_NOT_RUN:
            return Check("task", "warn", f"SkyPilot could not look at {task.path.name}: {fault}")
        return Check("task", "fail", f"SkyPilot refuses {task.path.name}: {fault}")
    return Check("task", "ok", f"SkyPilot reads {task.path.name}: {count} task(s)")


def _price_check(estimate: _Estimate, names: list[str]) -> Check:
    if estimate.unpriced_machines or not names:
        what = ", ".join(estimate.unpriced_machines) or "a machine that the task YAML does not name"
        sentence = (
            f"no price known for {what}; write it into prices: {{NAME: {{spot: 0.22, on_demand: 0.70}}}}"
        )
        return Check("price", "warn", sentence)
    return Check("price", "ok", f"{', '.join(names)}: price from {' and '.join(estimate.sources)}")


def _hourly_check(estimate: _Estimate, limits: Limits) -> Check:
    cap, dearest = limits.max_hourly_usd, estimate.dearest_usd_per_h
    if cap is None:
        return Check("hourly", "ok", "limits.max_hourly_usd is not set")
    if dearest is None:
        return Check(
            "hourly", "warn", f"no price known to hold against limits.max_hourly_usd ({cap:g} USD/h)"
        )
    sentence = f"the dearest job costs {dearest:.2f} USD/h, limits.max_hourly_usd is {cap:g}"
    return Check("hourly", "fail" if dearest > cap else "ok", sentence)


def _budget_check(estimate: _Estimate, limits: Limits) -> Check:
    budget, cost = limits.budget_usd, estimate.cost_usd
    if budget is None:
        return Check("budget", "ok", "limits.budget_usd is not set")
    without = f" ({len(estimate.unpriced)} conditions not in it)" if estimate.unpriced else ""
    if cost is None:
        sentence = "nothing to hold against limits.budget_usd: give expect.minutes and a price"
        return Check("budget", "warn", sentence)
    sentence = f"about {cost:.2f} USD{without}, limits.budget_usd is {budget:g}"
    return Check("budget", "fail" if cost > budget else "warn" if without else "ok", sentence)
