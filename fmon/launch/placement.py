"""Check where jobs may run: the clouds and regions of a task against the allowed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.config.regions import cloud_of, region_of
from fmon.config.task import options_of
from fmon.launch.check import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fmon.config.task import Task
    from fmon.model import Condition, Limits


def placement_checks(task: Task, conditions: Iterable[Condition], limits: Limits) -> list[Check]:
    """Compare clouds and regions with ``limits.clouds`` and ``limits.regions``, if these are set.

    Parameters
    ----------
    task
        The task.
    conditions
        The conditions, whose resources replace those of the task.
    limits
        The limits.
    """
    changes = {id(each.resources): each.resources for each in conditions}.values()
    options = [
        option for change in changes for each in task.resources or [{}] for option in options_of(each, change)
    ]
    checks = []
    if limits.clouds is not None:
        checks.append(_check("cloud", task, options, limits.clouds, cloud_of))
    if limits.regions is not None:
        checks.append(_check("region", task, options, limits.regions, region_of))
    return checks


def _check(
    what: str,
    task: Task,
    options: list[dict[str, Any]],
    allowed: list[str],
    named: Callable[[dict[str, Any]], str | None],
) -> Check:
    name, key = f"{what}s", f"limits.{what}s ({', '.join(allowed)})"
    requested = [named(option) for option in options]
    known = {each.lower() for each in allowed}
    named_ones = dict.fromkeys(each for each in requested if each is not None)
    outside = [each for each in named_ones if each.lower() not in known]
    if outside:
        sentence = f"{', '.join(outside)} is not in {key}; change {to_change(task)}"
        return Check(name, "fail", sentence)
    if None in requested:
        sentence = f"{task.path.name} does not set a {what}, so jobs could run outside of {key}; set one"
        return Check(name, "fail", sentence)
    return Check(name, "ok", f"{', '.join(named_ones)} requested, allowed")


def to_change(task: Task) -> str:
    """Return what to change if a job may run where the limits do not allow it."""
    if task.region_file is None:
        return "the task YAML or the limits"
    return f"{task.region_file}, region_config or the limits"
