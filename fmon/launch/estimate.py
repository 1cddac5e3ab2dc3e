"""Estimate the cost of an experiment's jobs from the machines that their task requests."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.config.task import options_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fmon.config.task import Task
    from fmon.model import Condition, Experiment, Price
    from fmon.sky.prices import Catalog


_COUNT = re.compile(r"[0-9]+(\.[0-9]+)?")


SPENT = "select experiment_summary.cost_usd as spent_usd from experiment_summary"
"""What an experiment has cost so far, for ``connect``."""


class Machine(NamedTuple):
    """One machine that a task may get: accelerators per node (CPU counts as one), spot or not."""

    accelerator: str
    number: float
    is_spot: bool


def machines_of(task: Task, condition: Condition) -> list[Machine]:
    """List the machines that a condition's job may get; empty if the task names none."""
    options = (option for each in task.resources or [{}] for option in options_of(each, condition.resources))
    return list(dict.fromkeys(machine for option in options for machine in _machines(option)))


def hourly_price(
    machines: Iterable[Machine], prices: Mapping[str, Price], *, node_count: int
) -> tuple[float, str] | None:
    """Return the price of a job's machines [USD/h] and its source, for the most expensive; None = unknown."""
    by_name = {name.lower(): price for name, price in prices.items()}
    found: list[tuple[float, str]] = []
    for machine in machines:
        price = by_name.get(machine.accelerator.lower())
        each = None if price is None else price.spot if machine.is_spot else price.on_demand
        if price is None or each is None:
            return None
        found.append((each * machine.number * node_count, price.source))
    return max(found, default=None)


def _machines(option: dict[str, Any]) -> Iterator[Machine]:
    is_spot = option.get("use_spot") is True
    accelerators = option.get("accelerators")
    if accelerators is None:
        cpus = _COUNT.match(str(option.get("cpus") or ""))
        if cpus:
            yield Machine("CPU", float(cpus[0]), is_spot)
        return
    if isinstance(accelerators, dict):
        pairs = [(str(name), count) for name, count in accelerators.items()]
    else:
        several = accelerators if isinstance(accelerators, list) else [accelerators]
        pairs = [(name, count) for each in several for name, _, count in [str(each).partition(":")]]
    for name, count in pairs:
        number = _COUNT.match(str(count))
        yield Machine(name.strip(), float(number[0]) if number else 1.0, is_spot)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Sums over conditions.

    Attributes
    ----------
    expected_h
        Sum of the expected run times [h]; None = the config has none.
    cost_usd
        Expected hours x price, over the conditions for which both are known; None = for none.
    highest_usd_per_h
        Highest price of one job; None = no price is known.
    sources
        Sources of the prices.
    unpriced
        Conditions that are not in ``cost_usd``.
    unpriced_machines
        Accelerators without a price.
    accelerators
        All accelerators that a job may get, in the order of the task.
    prices
        Their prices, by accelerator.
    """

    expected_h: float | None
    cost_usd: float | None
    highest_usd_per_h: float | None
    sources: list[str]
    unpriced: list[str]
    unpriced_machines: list[str]
    accelerators: list[str]
    prices: dict[str, Price]


def estimate(experiment: Experiment, task: Task, *, catalog: Catalog) -> Estimate:
    """Estimate the cost of all jobs; prices that the config lacks come from the catalog."""
    names = sorted(
        {
            machine.accelerator
            for condition in experiment.conditions
            for machine in machines_of(task, condition)
        }
    )
    known = {name.lower() for name in experiment.prices}
    prices = catalog(name for name in names if name.lower() not in known) | experiment.prices
    return cost_of(experiment.conditions, task, prices)


def cost_of(conditions: Iterable[Condition], task: Task, prices: dict[str, Price]) -> Estimate:
    """Estimate the cost of the jobs of some conditions, at known prices by accelerator."""
    hours: list[float] = []
    costs: list[float] = []
    hourly: list[tuple[float, str]] = []
    unpriced: list[str] = []
    without_price: set[str] = set()
    names: dict[str, None] = {}
    for condition in conditions:
        found = machines_of(task, condition)
        names |= dict.fromkeys(machine.accelerator for machine in found)
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
        accelerators=list(names),
        prices=prices,
    )
