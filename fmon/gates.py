"""What is looked at before the first job is paid for: checks, prices and the estimate (floor 5).

``plan`` shows them; ``launch`` refuses by them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.config.job import job_envs, unset
from fmon.config.task import Check, accelerator_check, hourly_price, image_check, machines_of
from fmon.errors import QueueError
from fmon.manifests import named
from fmon.sky.prices import catalog_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fmon.config.job import JobWriter
    from fmon.config.task import Task
    from fmon.model import Condition, Experiment, Limits, Price

SKYPILOT_COULD_NOT_RUN = {"Timeout", "WorkerFailed", "ImportError", "ModuleNotFoundError", "KeyError"}
"""Failures of asking SkyPilot that say nothing about the task YAML."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Sums over conditions.

    Attributes
    ----------
    expected_h : expected run times [h]; None = the config says none
    cost_usd : expected hours x price, over the conditions where both are known; None = for none
    highest_usd_per_h : of one job; None = no price is known
    sources : where the prices are from
    unpriced : conditions that are not in ``cost_usd``
    unpriced_machines : accelerators without a price
    accelerators : all that a job may get
    prices : of them, by accelerator
    """

    expected_h: float | None
    cost_usd: float | None
    highest_usd_per_h: float | None
    sources: list[str]
    unpriced: list[str]
    unpriced_machines: list[str]
    accelerators: list[str]
    prices: dict[str, Price]


def estimate(experiment: Experiment, task: Task) -> Estimate:
    """Add up what all jobs may cost; where the config has no price, SkyPilot's catalog is asked."""
    names = sorted(
        {
            machine.accelerator
            for condition in experiment.conditions
            for machine in machines_of(task, condition)
        }
    )
    known = {name.lower() for name in experiment.prices}
    prices = catalog_prices(name for name in names if name.lower() not in known) | experiment.prices
    return cost_of(experiment.conditions, task, prices)


def cost_of(conditions: Iterable[Condition], task: Task, prices: dict[str, Price]) -> Estimate:
    """Add up what the jobs of some conditions may cost, at known prices by accelerator."""
    hours: list[float] = []
    costs: list[float] = []
    hourly: list[tuple[float, str]] = []
    unpriced: list[str] = []
    without_price: set[str] = set()
    names: set[str] = set()
    for condition in conditions:
        found = machines_of(task, condition)
        names.update(machine.accelerator for machine in found)
        price = hourly_price(found, prices, node_count=task.node_count)
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
    return Estimate(
        expected_h=math.fsum(hours) if hours else None,
        cost_usd=math.fsum(costs) if costs else None,
        highest_usd_per_h=max((price for price, _ in hourly), default=None),
        sources=sorted({source for _, source in hourly}),
        unpriced=unpriced,
        unpriced_machines=sorted(without_price),
        accelerators=sorted(names),
        prices=prices,
    )


def one_of_each_kind(conditions: Iterable[Condition]) -> list[Condition]:
    """Give one condition of each kind of job: they differ in more than values where resources differ."""
    kinds: dict[str, Condition] = {}
    for condition in conditions:
        kinds.setdefault(json.dumps(condition.resources, sort_keys=True, default=str), condition)
    return list(kinds.values())


def parse_kinds(
    parse: Callable[[str], int], writer: JobWriter, conditions: Iterable[Condition], *, cycle: int
) -> int:
    """Let SkyPilot parse one job of each kind; give the number of their tasks.

    Parameters
    ----------
    parse : ``Submitter.parse``; raises QueueError
    writer, conditions, cycle : whose jobs, at least one
    """
    return max(parse(writer.of(condition, cycle)) for condition in one_of_each_kind(conditions))


def checks(
    experiment: Experiment,
    task: Task,
    found: Estimate,
    *,
    parse: Callable[[Task], int],
    environ: Mapping[str, str],
    folder: Path,
) -> list[Check]:
    """Look at everything that can be looked at before a job is launched.

    Parameters
    ----------
    experiment, task, found : the config, its task YAML and what its jobs may cost
    parse : let SkyPilot read the task YAML and count its tasks; raises QueueError
    environ : where declared variables without a value take theirs from
    folder : what relative paths of the task YAML are relative to, as for ``sky jobs launch``
    """
    return [
        _task_check(task, parse),
        image_check(task, experiment.docker_image),
        _variables_check(experiment, task, environ),
        _files_check(task, folder),
        accelerator_check(found.accelerators, experiment.limits),
        _price_check(found),
        _hourly_check(found, experiment.limits),
        budget_check(found, experiment.limits),
    ]


def _task_check(task: Task, parse: Callable[[Task], int]) -> Check:
    """Let SkyPilot itself parse the task YAML; it rejects fields that plain YAML does not."""
    try:
        count = parse(task)
    except QueueError as fault:
        if fault.error_type in SKYPILOT_COULD_NOT_RUN:
            return Check("task", "warn", f"SkyPilot could not look at {task.path.name}: {fault}")
        return Check("task", "fail", f"SkyPilot refuses {task.path.name}: {fault}")
    return Check("task", "ok", f"SkyPilot reads {task.path.name}: {count} task(s)")


def _variables_check(experiment: Experiment, task: Task, environ: Mapping[str, str]) -> Check:
    """Look for variables that a job would run without."""
    without: dict[str, str] = {}
    for condition in experiment.conditions:
        envs = job_envs(experiment, condition, experiment_id="", cycle=0)
        for name in unset(task, envs, environ):
            without.setdefault(name, condition.condition_id)
    if not without:
        return Check("variables", "ok", f"every variable that {task.path.name} declares has a value")
    listed = named(f"{name} (of {condition})" for name, condition in without.items())
    sentence = (
        f"{task.path.name} declares {listed} without a value; set it in the environment of fmon, or in the "
        "config (fixed, envs, overrides)"
    )
    return Check("variables", "fail", sentence)


def _files_check(task: Task, folder: Path) -> Check:
    """Look for the local files that a job takes along."""
    missing = [path for path in _local_paths(task) if not (folder / Path(path).expanduser()).exists()]
    if missing:
        sentence = (
            f"{task.path.name} takes {named(missing)} along, which is not in {folder}; such paths are "
            "relative to the folder that fmon is called in, as for sky jobs launch"
        )
        return Check("files", "fail", sentence)
    return Check("files", "ok", f"every local file that {task.path.name} takes along is there")


def _local_paths(task: Task) -> Iterator[str]:
    """List working folder and mounted files that are on this machine."""
    for document in task.documents:
        mounts = document.get("file_mounts")
        sources: list[Any] = [document.get("workdir")]
        for mount in mounts.values() if isinstance(mounts, dict) else ():
            source = mount.get("source") if isinstance(mount, dict) else mount
            sources += source if isinstance(source, list) else [source]
        yield from (each for each in sources if isinstance(each, str) and "://" not in each)


def _price_check(found: Estimate) -> Check:
    if found.unpriced_machines or not found.accelerators:
        what = ", ".join(found.unpriced_machines) or "a machine that the task YAML does not name"
        sentence = (
            f"no price known for {what}; write it into prices: {{NAME: {{spot: 0.22, on_demand: 0.70}}}}"
        )
        return Check("price", "warn", sentence)
    sentence = f"{', '.join(found.accelerators)}: price from {' and '.join(found.sources)}"
    return Check("price", "ok", sentence)


def _hourly_check(found: Estimate, limits: Limits) -> Check:
    cap, highest = limits.max_hourly_usd, found.highest_usd_per_h
    if cap is None:
        return Check("hourly", "ok", "limits.max_hourly_usd is not set")
    if highest is None or found.unpriced_machines:
        what = f" for {', '.join(found.unpriced_machines)}" if found.unpriced_machines else ""
        sentence = f"no price known{what} to compare with limits.max_hourly_usd ({cap:g} USD/h)"
        return Check("hourly", "warn", sentence)
    sentence = f"the most expensive job costs {highest:.2f} USD/h, limits.max_hourly_usd is {cap:g}"
    return Check("hourly", "fail" if highest > cap else "ok", sentence)


def budget_check(found: Estimate, limits: Limits) -> Check:
    """Hold an estimate against the budget."""
    budget, cost = limits.budget_usd, found.cost_usd
    if budget is None:
        return Check("budget", "ok", "limits.budget_usd is not set")
    without = f" ({len(found.unpriced)} conditions not in it)" if found.unpriced else ""
    if cost is None:
        sentence = "nothing to compare with limits.budget_usd: give expect.minutes and a price"
        return Check("budget", "warn", sentence)
    sentence = f"about {cost:.2f} USD{without}, limits.budget_usd is {budget:g}"
    return Check("budget", "fail" if cost > budget else "warn" if without else "ok", sentence)
