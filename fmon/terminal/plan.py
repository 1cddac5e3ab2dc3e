"""Print the plan of a config: its checks, counts and cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fmon.model import level_text
from fmon.terminal.lines import Grid, emit, line, segment, terminal_width
from fmon.terminal.rows import print_json
from fmon.text import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.launch.plan import Plan
    from fmon.terminal.lines import Line

MAX_LEVELS = 20
RESULT_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_plan(plan: Plan, output: str) -> None:
    """Print a plan.

    Parameters
    ----------
    plan
        The plan.
    output
        ``table``, or ``json``: one object.
    """
    if output == "json":
        print_json([{**asdict(plan), "checks": [check._asdict() for check in plan.checks]}])
    else:
        emit(plan_lines(plan, width=terminal_width()))


def plan_lines(plan: Plan, *, width: int | None) -> Iterator[Line]:
    """Lay out a plan: the checks, failed ones first, then counts, cost and grid."""
    ordered = sorted(plan.checks, key=lambda check: ("fail", "warn", "ok").index(check.result))
    for check in ordered:
        yield [segment(f"{check.result:<4}  ", RESULT_STYLES[check.result]), segment(check.sentence)]
    yield []
    yield line(f"{plan.experiment_name}: {_counts(plan)}", "bold")
    yield line(f"est. {_cost(plan)}")
    yield []
    factors = [(name, levels, "") for name, levels in plan.factors.items()]
    factors += [(name, levels, "inside each job") for name, levels in plan.inner_factors.items()]
    cells = [
        [segment(name), segment(str(len(levels))), segment(_levels(levels)), segment(where)]
        for name, levels, where in factors
    ]
    grid = Grid(("factor", "levels", "", ""), cells, frozenset({1}))
    yield from grid.lines(width)


def _counts(plan: Plan) -> str:
    parts = [f"{plan.condition_count:,} conditions = {plan.grid_count:,} grid cells"]
    if plan.excluded_count:
        parts.append(f"- {plan.excluded_count:,} excluded")
    if plan.baseline_count:
        parts.append(f"+ {plan.baseline_count:,} baselines")
    inner = f"; {plan.inner_count:,} evaluations inside the jobs" if plan.inner_count else ""
    return " ".join(parts) + inner


def _cost(plan: Plan) -> str:
    sources = f", prices from {' and '.join(plan.price_sources)}" if plan.price_sources else ""
    without = (
        f" ({plan.unpriced_count:,} conditions without price or expected time)" if plan.unpriced_count else ""
    )
    hours = "" if plan.expected_h is None else f", {plan.expected_h:,.1f} h of run time"
    return f"{money(plan.cost_usd)}{without}{hours}{sources}"


def _levels(levels: list[bool | int | float | str]) -> str:
    shown = ", ".join(level_text(level) for level in levels[:MAX_LEVELS])
    return shown if len(levels) <= MAX_LEVELS else f"{shown} and {len(levels) - MAX_LEVELS:,} more"
