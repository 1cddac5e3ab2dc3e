"""Print a fix plan: a work order per root cause, then the commands that follow all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.rules.f3_rebuild_before_relaunch import without_fix
from fmon.terminal.diagnosis import WIDTH, cause_header, labelled, names_of, why_lines
from fmon.terminal.lines import emit, folded, line, terminal_width
from fmon.text import clock, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.fix.plan import FixPlan, WorkOrder
    from fmon.terminal.lines import Line


def print_fix_plan(plan: FixPlan, output: str) -> None:
    """Print a fix plan.

    Parameters
    ----------
    plan
        The plan.
    output
        ``table``, or ``json``: one object.
    """
    if output == "json":
        from fmon.text import json_text

        print(json_text(plan))  # noqa: T201
        return
    emit(fix_plan_lines(plan, width=terminal_width() or WIDTH))


def fix_plan_lines(plan: FixPlan, *, width: int) -> Iterator[Line]:
    """Lay out a fix plan: its diagnosis, the orders, those that need a person, the commands that follow."""
    orders = plan.orders
    failed = sum(order.failed_count for order in orders)
    what = "nothing has failed, there is nothing to fix"
    if orders:
        causes = counted(len(orders), "root cause")
        what = f"{causes} of {counted(failed, 'failed condition')}, to fix together"
    yield from folded("", f"{plan.experiment_id}, cycle {plan.cycle}: {what}", width, style="bold")
    yield from folded("", f"diagnosed {clock(plan.diagnosed_at)}; {_ran_with(plan)}", width)
    for number, order in enumerate(orders, start=1):
        yield []
        yield cause_header(order, number)
        for label, text in _order(order):
            yield from labelled(label, text, width)
    yield []
    if persons := [order.root_cause_id for order in orders if order.needs_person]:
        text = f"needs a person: {names_of(persons)}; relaunched only after a fix is recorded"
        yield from folded("", text, width, style="bold red")
    if missing := [each.root_cause_id for each in orders if each.needs_record and not each.recorded]:
        text = (
            f"no fix recorded: {names_of(missing)}; before a relaunch, run fmon fix record for each, with "
            "--what TEXT, or with --no-fix REASON if nothing is changed for it"
        )
        yield from folded("", text, width)
    yield line(f"ready to relaunch: {counted(len(plan.rerun), 'condition')}")
    yield line("then:", "bold")
    for step in plan.steps:
        yield line(f"   {step}")


def _order(order: WorkOrder) -> Iterator[tuple[str, str]]:
    """Yield the lines of a work order: label and text."""
    yield from why_lines(order)
    yield "do", order.fix_strategy
    if order.transience:
        yield "", order.transience
    if order.files:
        yield "files", names_of(order.files)
    elif order.affected_files:
        yield "files", f"{names_of(order.affected_files)} (as the logs name them)"
    yield "affects", names_of(order.condition_ids)
    yield "may break", order.could_break
    tests = order.test_command or "the config has no test command; set verify.tests"
    yield "tests", tests
    for done in order.recorded:
        what = without_fix(done.what) if done.is_without_fix else done.what
        yield "done", f"{what} ({done.by})"
    for number, step in enumerate(order.steps):
        yield "next" if number == 0 else "", step


def _ran_with(plan: FixPlan) -> str:
    """Return what the failed jobs ran with, in words."""
    image = f"{plan.image} ({plan.digest or 'digest not recorded'})" if plan.image else "no image recorded"
    return f"config {plan.config_file}, task {plan.skypilot_yaml}, {image}"
