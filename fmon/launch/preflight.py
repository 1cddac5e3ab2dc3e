"""Check the config, the task and the estimate before the first job costs anything.

``plan`` shows the checks; ``launch`` requires them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.config.task import images_of
from fmon.errors import QueueError
from fmon.launch.check import Check
from fmon.launch.placement import placement_checks, to_change
from fmon.launch.variables import variable_checks
from fmon.model import Condition, Experiment, Limits
from fmon.text import counted, cut, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.launch.estimate import Estimate
    from fmon.launch.job_yaml import JobWriter
    from fmon.model import Condition, Experiment, Limits

DEFAULT_BUDGET_USD = 20.0
"""Without ``limits.budget_usd``, a higher estimate requires confirmation [USD]."""
SKYPILOT_COULD_NOT_RUN = {"Timeout", "WorkerFailed", "ImportError", "ModuleNotFoundError", "KeyError"}
"""Errors of SkyPilot that say nothing about the task YAML."""


def one_of_each_kind(conditions: Iterable[Condition]) -> list[Condition]:
    """Return one condition per kind of job: kinds differ in their resources, not only in values."""
    kinds: dict[str, Condition] = {}
    for condition in conditions:
        kinds.setdefault(json.dumps(condition.resources, sort_keys=True, default=str), condition)
    return list(kinds.values())


def parse_kinds(
    parse: Callable[[str], int], writer: JobWriter, conditions: Iterable[Condition], *, cycle: int
) -> int:
    """Let SkyPilot parse one job of each kind; return the highest number of tasks.

    Parameters
    ----------
    parse
        ``Submitter.parse``; raises QueueError.
    writer, conditions, cycle
        Writes the task YAMLs; the conditions, at least one; their cycle.
    """
    return max(parse(writer.of(condition, cycle)) for condition in one_of_each_kind(conditions))


def parse_task(task: Task, *, ask: Callable[..., Any]) -> int:
    """Let SkyPilot parse the task YAML, in a process of its own; return its number of tasks."""
    secrets = [f"secret:{name}" for name in task.without_value("secrets")]
    return int(ask("task", str(task.path.absolute()), *task.without_value("envs"), *secrets))


def checks(
    experiment: Experiment,
    task: Task,
    found: Estimate,
    *,
    parse: Callable[[Task], int],
    environment: Environment,
    folder: Path,
) -> list[Check]:
    """Run all checks that are possible before a job is launched.

    Parameters
    ----------
    experiment, task, found
        The config, its task YAML and the estimate for its jobs.
    parse
        Lets SkyPilot parse the task YAML and returns its number of tasks; raises QueueError.
    environment
        Values for variables that the task declares without one.
    folder
        Folder that relative paths of the task YAML are relative to, as for ``sky jobs launch``.
    """
    return [
        _task_check(task, parse),
        image_check(task, experiment.docker_image),
        *variable_checks(experiment, task, environment),
        _files_check(task, folder),
        *_region_check(experiment, task),
        *placement_checks(task, experiment.conditions, experiment.limits),
        accelerator_check(found.accelerators, experiment.limits, to_change(task)),
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


def _files_check(task: Task, folder: Path) -> Check:
    """Check that the local files that a job uploads exist."""
    missing = [path for path in _local_paths(task) if not (folder / Path(path).expanduser()).exists()]
    if missing:
        sentence = (
            f"{task.path.name} uploads {listed(missing)}, which does not exist in {folder}; paths are "
            "relative to the folder in which fmon is run, as for sky jobs launch"
        )
        return Check("files", "fail", sentence)
    return Check("files", "ok", f"every local file that {task.path.name} uploads exists")


def _local_paths(task: Task) -> Iterator[str]:
    """List the working folder and the mounted files that are on this machine."""
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
        return Check("hourly", "warn", sentence)
    sentence = f"the most expensive job costs {highest:.2f} USD/h, limits.max_hourly_usd is {cap:g}"
    return Check("hourly", "fail" if highest > cap else "ok", sentence)


def budget_check(found: Estimate, limits: Limits) -> Check:
    """Compare an estimate with the budget."""
    budget, cost = limits.budget_usd, found.cost_usd
    if budget is None and (cost is None or cost <= DEFAULT_BUDGET_USD):
        return Check("budget", "ok", "limits.budget_usd is not set")
    if budget is None:
        ask = f"launch asks above {DEFAULT_BUDGET_USD:g} USD"
        sentence = f"about {cost:.2f} USD, and limits.budget_usd is not set: {ask}"
        return Check("budget", "warn", sentence)
    without = f" ({len(found.unpriced)} conditions not included)" if found.unpriced else ""
    if cost is None:
        sentence = "no estimate to compare with limits.budget_usd; set expect.minutes and a price"
        return Check("budget", "warn", sentence)
    sentence = f"about {cost:.2f} USD{without}, limits.budget_usd is {budget:g}"
    return Check("budget", "fail" if cost > budget else "warn" if without else "ok", sentence)


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
    return Check("image", "warn", sentence)


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
