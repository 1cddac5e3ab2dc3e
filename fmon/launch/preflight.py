"""Check the config, the task and the estimate before the first job costs anything.

``plan`` shows the checks; ``launch`` requires them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fmon.clients.registry import parse_reference
from fmon.config.placeholders import has_reference
from fmon.config.task import images_of
from fmon.errors import QueueError, RegistryError
from fmon.launch.check import Check
from fmon.launch.files import files_check
from fmon.launch.job_names import name_checks
from fmon.launch.placement import placement_checks, to_change
from fmon.launch.variables import variable_checks
from fmon.model import Condition, Experiment, Limits
from fmon.text import counted, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.launch.estimate import Estimate
    from fmon.launch.job_yaml import JobWriter
    from fmon.model import Condition, Experiment, Limits

DEFAULT_BUDGET_USD = 20.0
"""Without ``limits.budget_usd``, a higher estimate requires confirmation [USD]."""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What the user has allowed, which is otherwise a failed check.

    Attributes
    ----------
    bare_vm
        Jobs without a container image (``--allow-bare-vm``).
    over_budget
        Exceeding the budget (``--over-budget``).
    """

    bare_vm: bool = False
    over_budget: bool = False


NO_CONSENT = Consent()
SKYPILOT_COULD_NOT_RUN = {"Timeout", "WorkerFailed", "ImportError", "ModuleNotFoundError", "KeyError"}
"""Errors of SkyPilot that say nothing about the task YAML."""


def one_of_each_kind(conditions: Iterable[Condition]) -> list[Condition]:
    """Return one condition per kind of job: kinds differ in more than the values of variables."""
    kinds: dict[str, Condition] = {}
    for condition in conditions:
        set_names = sorted((name, value is None) for name, value in condition.envs.items())
        kind = [condition.resources, set_names, sorted(condition.factors)]
        kinds.setdefault(json.dumps(kind, sort_keys=True, default=str), condition)
    return list(kinds.values())


def parse_kinds(
    parse: Callable[[Sequence[str]], int], writer: JobWriter, conditions: Iterable[Condition], *, cycle: int
) -> int:
    """Let SkyPilot parse one job of each kind; return the highest number of tasks.

    Parameters
    ----------
    parse
        Parses task YAMLs; raises QueueError.
    writer, conditions, cycle
        Writes the task YAMLs; the conditions, at least one; their cycle.
    """
    return parse([writer.of(condition, cycle) for condition in one_of_each_kind(conditions)])


def parse_apart(task_yamls: Sequence[str], *, ask: Callable[..., Any]) -> int:
    """Let SkyPilot parse task YAMLs in a process of its own; return the highest number of tasks."""
    with TemporaryDirectory(prefix="fmon-") as folder:  # values may be secrets: not on a command line
        paths = [Path(folder) / f"{number}.yaml" for number in range(len(task_yamls))]
        for path, text in zip(paths, task_yamls, strict=True):
            path.write_text(text)
        return int(ask("tasks", *map(str, paths)))


def checks(
    experiment: Experiment,
    task: Task,
    found: Estimate,
    *,
    parse: Callable[[], int],
    environment: Environment,
    folder: Path,
    consent: Consent,
) -> list[Check]:
    """Run all checks that are possible before a job is launched.

    Parameters
    ----------
    experiment, task, found
        The config, its task YAML and the estimate for its jobs.
    parse
        Lets SkyPilot parse the jobs' task YAMLs and returns their number of tasks; raises QueueError.
    environment
        Values for variables that the task declares without one.
    folder
        Folder that relative paths of the task YAML are relative to, as for ``sky jobs launch``.
    consent
        What the user has allowed.
    """
    return [
        *name_checks(experiment),
        _task_check(task, parse),
        _allowed(image_check(task, experiment.docker_image), "--allow-bare-vm", is_allowed=consent.bare_vm),
        *_reference_checks(experiment, task),
        *variable_checks(experiment, task, environment),
        files_check(experiment, task, environment, folder),
        *_region_check(experiment, task),
        *placement_checks(task, experiment.conditions, experiment.limits),
        accelerator_check(found.accelerators, experiment.limits, to_change(task)),
        _price_check(found),
        _hourly_check(found, experiment.limits),
        _allowed(budget_check(found, experiment.limits), "--over-budget", is_allowed=consent.over_budget),
    ]


def _allowed(check: Check, option: str, *, is_allowed: bool) -> Check:
    """Turn a failed check into a warning if the user has allowed it; otherwise name the option."""
    if check.result != "fail":
        return check
    if is_allowed:
        return check._replace(result="warn")
    return check._replace(sentence=f"{check.sentence}; {option} allows it")


def _reference_checks(experiment: Experiment, task: Task) -> Iterator[Check]:
    """Check that every container image is a reference as Docker knows it; variables are another fault."""
    changes = {id(each.resources): each.resources for each in experiment.conditions}.values()
    images = [image for image in images_of(task, changes) if image.startswith("docker:")]
    for image in dict.fromkeys([*images, *([experiment.docker_image] if experiment.docker_image else [])]):
        try:
            if not has_reference(image):
                parse_reference(image)
        except RegistryError as fault:
            yield Check("image_reference", "fail", str(fault))
    if experiment.docker_image and has_reference(experiment.docker_image):
        sentence = f"docker_image is {experiment.docker_image!r}, which nothing expands; write the reference"
        yield Check("image_reference", "fail", sentence)


def _task_check(task: Task, parse: Callable[[], int]) -> Check:
    """Let SkyPilot itself parse the jobs' YAMLs; it rejects fields that plain YAML does not."""
    try:
        count = parse()
    except QueueError as fault:
        if fault.error_type in SKYPILOT_COULD_NOT_RUN:
            return Check("task", "warn", f"SkyPilot could not check {task.path.name}: {fault}")
        return Check("task", "fail", f"SkyPilot rejects {task.path.name}: {fault}")
    return Check("task", "ok", f"SkyPilot accepts {task.path.name}: {counted(count, 'task')}")


def _region_check(experiment: Experiment, task: Task) -> list[Check]:
    """Check that the region file exists, if the config has one, and say which regions it has."""
    if experiment.region_config is None:
        return []
    if experiment.region_file is None:
        sentence = (
            f"the region file {cut(experiment.region_config, 80)!r} does not exist; looked for "
            f"{', '.join(experiment.region_searched)}; without it, jobs would run in any region"
        )
        return [Check("region_config", "fail", sentence)]
    machines: dict[str, list[str]] = {}
    for option in (each for resources in task.resources for each in resources["ordered"]):
        accelerator = option["accelerators"].removesuffix(":1")
        found = machines.setdefault(option["region"], [])
        found += [accelerator] if accelerator not in found else []
    if not machines:
        sentence = (
            f"{task.path.name} has no resources, so jobs would run in any region instead of those of "
            f"{experiment.region_file}; add resources, such as {{cloud: gcp}}"
        )
        return [Check("region_config", "fail", sentence)]
    regions = ", ".join(f"{region} ({', '.join(found)})" for region, found in machines.items())
    return [Check("region_config", "ok", f"jobs may run in {regions}, from {experiment.region_file}")]


def _price_check(found: Estimate) -> Check:
    if found.unpriced_machines or not found.accelerators:
        what = ", ".join(found.unpriced_machines) or "a machine that the task YAML does not name"
        sentence = (
            f"no price known for {what}; add it to the config: "
            "prices: {NAME: {spot: 0.22, on_demand: 0.70}}"
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
        return Check("hourly", "fail", sentence)
    sentence = f"the most expensive job costs {highest:.2f} USD/h, limits.max_hourly_usd is {cap:g}"
    return Check("hourly", "fail" if highest > cap else "ok", sentence)


def budget_check(found: Estimate, limits: Limits) -> Check:
    """Compare an estimate with the budget."""
    budget, cost = limits.budget_usd, found.cost_usd
    if budget is None and (cost is None or cost <= DEFAULT_BUDGET_USD):
        return Check("budget", "ok", "limits.budget_usd is not set")
    if budget is None:
        sentence = f"about {cost:.2f} USD, more than {DEFAULT_BUDGET_USD:g}, and limits.budget_usd is not set"
        return Check("budget", "fail", sentence)
    without = f" ({len(found.unpriced)} conditions not included)" if found.unpriced else ""
    if cost is None:
        sentence = "no estimate to compare with limits.budget_usd; set expect.minutes and a price"
        return Check("budget", "fail", sentence)
    sentence = f"about {cost:.2f} USD{without}, limits.budget_usd is {budget:g}"
    return Check("budget", "fail" if cost > budget or without else "ok", sentence)


def image_check(task: Task, docker_image: str | None) -> Check:
    """Check for a container image: on a bare VM nothing records what code a job ran."""
    images = images_of(task)
    bare = [image for image in images if not image.startswith("docker:")]
    if images and not bare:
        return Check("image", "ok", f"{task.path.name} runs in {', '.join(images)}")
    if docker_image and not bare:
        return Check("image", "ok", f"{task.path.name} has no image_id; docker_image is {docker_image}")
    what = f"image_id {bare[0]} is not a container image" if bare else "there is no image_id"
    sentence = (
        f"{what} in {task.path.name}: jobs run on a bare VM; set image_id: docker:IMAGE, "
        "or docker_image in the config"
    )
    return Check("image", "fail", sentence)


def accelerator_check(
    names: Iterable[str], limits: Limits, changeable: str = "the task YAML or the limits"
) -> Check:
    """Compare accelerators with the allowed ones; ``changeable`` is what to change if one is not."""
    requested = list(dict.fromkeys(names))
    if limits.accelerators is None:
        return Check("accelerators", "ok", f"{', '.join(requested) or 'none requested'}, no limit set")
    allowed = {name.lower() for name in limits.accelerators}
    outside = [name for name in requested if name.lower() not in allowed and name != "CPU"]
    if outside:
        sentence = f"{', '.join(outside)} is not in limits.accelerators ({', '.join(limits.accelerators)})"
        return Check("accelerators", "fail", f"{sentence}; change {changeable}")
    return Check("accelerators", "ok", f"{', '.join(requested) or 'none'} requested, allowed")
