"""Print the plan of a config: its checks, counts and cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fmon.model import level_text
from fmon.terminal.lines import Grid, emit, line, segment, terminal_width
from fmon.text import counted, json_text, money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.launch.plan import Cost, Counts, Plan
    from fmon.terminal.lines import Line

MAX_LEVELS = 20
RESULT_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_plan(plan: Plan, output: str, *, with_conditions: bool) -> None:
    """Print a plan.

    Parameters
    ----------
    plan
        The plan.
    output
        ``table``, or ``json``: one object.
    with_conditions
        Whether the table also has every condition with its variables; the object always has them.
    """
    if output == "json":
        print(json_text(plan_object(plan)))  # noqa: T201
    else:
        emit(plan_lines(plan, with_conditions=with_conditions, width=terminal_width()))


def plan_object(plan: Plan) -> dict[str, Any]:
    """Return a plan as an object with ``next``, the command to run next."""
    return {
        **asdict(plan),
        "checks": [
            {"name": check.name, "result": check.result, "message": check.sentence} for check in plan.checks
        ],
        "next": plan.next_command,
    }


def plan_lines(plan: Plan, *, with_conditions: bool, width: int | None) -> Iterator[Line]:
    """Lay out a plan: the counts, the conditions, the checks (failed ones first), and the cost."""
    yield line(f"{plan.experiment_name}: {_counts(plan.counts)}", "bold")
    yield from _factors(plan, width)
    yield []
    if with_conditions:
        yield from _conditions(plan)
        yield []
    if plan.defaults:
        values = ", ".join(f"{key}={value}" for key, value in plan.defaults.items())
        yield line(f"defaults, not set in {plan.study_file or plan.config_file}: {values}")
    if plan.unused_keys:
        yield line(f"not used by fmon: {', '.join(plan.unused_keys)}")
    if plan.defaults or plan.unused_keys:
        yield []
    ordered = sorted(plan.checks, key=lambda check: ("fail", "warn", "ok").index(check.result))
    for check in ordered:
        yield [segment(f"{check.result:<4}  ", RESULT_STYLES[check.result]), segment(check.sentence)]
    yield []
    yield line(f"est. {_cost(plan.cost)}")


def _factors(plan: Plan, width: int | None) -> Iterator[Line]:
    factors = [(name, levels, "") for name, levels in plan.factors.items()]
    factors += [(name, levels, "inside each job") for name, levels in plan.inner_factors.items()]
    cells = [
        [segment(name), segment(str(len(levels))), segment(_levels(levels)), segment(where)]
        for name, levels, where in factors
    ]
    yield from Grid(("factor", "levels", "", ""), cells, frozenset({1})).lines(width)


def _conditions(plan: Plan) -> Iterator[Line]:
    """Lay out what all jobs have, then a line per condition with the rest."""
    common_envs = _common([condition.envs for condition in plan.conditions])
    common_resources = _common([condition.resources for condition in plan.conditions])
    every = [*_pairs(common_envs), *_pairs(common_resources)]
    if every:
        yield line(f"every job: {' '.join(every)}")
    cells = []
    for condition in plan.conditions:
        own = [*_pairs(condition.envs, common_envs), *_pairs(condition.resources, common_resources)]
        cells.append([segment(condition.job_name), segment(" ".join(own))])
    yield from Grid(("job", "variables and resources"), cells, frozenset()).lines()


def _common(several: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is the same in all of several mappings."""
    return {
        name: value
        for name, value in several[0].items()
        if all(name in each and each[name] == value for each in several)
    }


def _pairs(values: dict[str, Any], without: dict[str, Any] | None = None) -> list[str]:
    """Return the values as NAME=value, but for those that are also in ``without``."""
    return [f"{name}={value}" for name, value in values.items() if name not in (without or {})]


def _counts(counts: Counts) -> str:
    parts = [f"{counted(counts.condition, 'condition')} = {counted(counts.grid, 'grid cell')}"]
    if counts.excluded:
        parts.append(f"- {counts.excluded:,} excluded")
    if counts.baseline:
        parts.append(f"+ {counted(counts.baseline, 'baseline')}")
    inner = f"; {counted(counts.inner, 'evaluation')} inside the jobs" if counts.inner else ""
    return " ".join(parts) + inner


def _cost(cost: Cost) -> str:
    sources = f", prices from {' and '.join(cost.price_sources)}" if cost.price_sources else ""
    without = (
        f" ({cost.unpriced_count:,} conditions without price or expected time)" if cost.unpriced_count else ""
    )
    hours = "" if cost.expected_h is None else f", {cost.expected_h:,.1f} h of run time"
    return f"{money(cost.estimated_usd)}{without}{hours}{_wall_clock(cost)}{sources}"


def _wall_clock(cost: Cost) -> str:
    if cost.wall_clock_h is None:
        return ""
    several = f"{cost.parallel_jobs:,} at a time" if cost.parallel_jobs else "all at the same time"
    return f", {cost.wall_clock_h:,.1f} h of wall clock with {several}"


def _levels(levels: list[bool | int | float | str]) -> str:
    shown = ", ".join(level_text(level) for level in levels[:MAX_LEVELS])
    return shown if len(levels) <= MAX_LEVELS else f"{shown} and {len(levels) - MAX_LEVELS:,} more"
