"""The SkyPilot task YAML as far as plan and adopt look at it: machines and image (floor 3)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from fmon.config.source import check_depth, read_text
from fmon.errors import ConfigError
from fmon.model import Condition, Experiment, Limits, Price

_COUNT = re.compile(r"[0-9]+(\.[0-9]+)?")


class Machine(NamedTuple):
    """One machine that a task may get: accelerators per node (CPU counts as one), spot or not."""

    accelerator: str
    number: float
    is_spot: bool


class Check(NamedTuple):
    """One thing that was looked at before anything is launched."""

    name: str
    result: Literal["ok", "warn", "fail"]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task YAML.

    Attributes
    ----------
    path : where it stands
    documents : its YAML documents, as they stand there
    resources : the ``resources`` of its tasks, one mapping per task that has any
    node_count : machines per job
    unset, unset_secrets : environment variables, and secrets, that it declares without a value
    """

    path: Path
    documents: list[dict[str, Any]]
    resources: list[dict[str, Any]]
    node_count: int
    unset: list[str]
    unset_secrets: list[str]


def read_task(experiment: Experiment) -> Task:
    """Read the experiment's task YAML.

    Raises
    ------
    ConfigError
        It is not valid YAML, or holds no task.
    """
    path = Path(experiment.config_file).parent / experiment.skypilot_yaml
    text = read_text(path)
    try:
        check_depth(text, path)
        documents = [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]
    except (yaml.YAMLError, ValueError) as fault:
        reason = " ".join(str(fault).split())
        message = f"the task YAML {path} is no valid YAML ({reason}); check it with sky jobs launch --dryrun"
        raise ConfigError(message) from fault
    if not documents or not all(isinstance(document, dict) for document in documents):
        message = f"the task YAML {path} holds no task; it needs at least a run: command"
        raise ConfigError(message)
    resources = [each["resources"] for each in documents if isinstance(each.get("resources"), dict)]
    nodes = [each["num_nodes"] for each in documents if type(each.get("num_nodes")) is int]
    return Task(
        path=path,
        documents=documents,
        resources=resources,
        node_count=max(nodes, default=1),
        unset=_unset(documents, "envs"),
        unset_secrets=_unset(documents, "secrets"),
    )


def _unset(documents: list[dict[str, Any]], kind: str) -> list[str]:
    """List what the tasks declare without a value."""
    declared = [each[kind] for each in documents if isinstance(each.get(kind), dict)]
    return list(
        dict.fromkeys(str(name) for each in declared for name, value in each.items() if value is None)
    )


def images_of(task: Task) -> list[str]:
    """List the task's images as they stand in it: ``docker:registry/x:tag`` or a VM's."""
    found = [
        option["image_id"]
        for each in task.resources
        for option in _options(each, {})
        if option.get("image_id") is not None
    ]
    flat = (image for each in found for image in (each.values() if isinstance(each, dict) else [each]))
    return list(dict.fromkeys(map(str, flat)))


def image_of(experiment: Experiment, task: Task) -> str | None:
    """Name the container image that the jobs run in, as its registry knows it; None on a bare VM."""
    images = [image.removeprefix("docker:") for image in images_of(task) if image.startswith("docker:")]
    return experiment.docker_image or next(iter(images), None)


def machines_of(task: Task, condition: Condition) -> list[Machine]:
    """List the machines that a condition's job may get; empty where the task does not say."""
    options = (option for each in task.resources or [{}] for option in _options(each, condition.resources))
    return list(dict.fromkeys(machine for option in options for machine in _machines(option)))


def hourly_price(
    machines: Iterable[Machine], prices: Mapping[str, Price], *, node_count: int
) -> tuple[float, str] | None:
    """Price a job's machines [USD/h], with its source: the most expensive it may get; None = unknown."""
    by_name = {name.lower(): price for name, price in prices.items()}
    found: list[tuple[float, str]] = []
    for machine in machines:
        price = by_name.get(machine.accelerator.lower())
        each = None if price is None else price.spot if machine.is_spot else price.on_demand
        if price is None or each is None:
            return None
        found.append((each * machine.number * node_count, price.source))
    return max(found, default=None)


def image_check(task: Task, docker_image: str | None) -> Check:
    """Look for a container image: on a bare VM nothing says what code a job ran."""
    images = images_of(task)
    bare = [image for image in images if not image.startswith("docker:")]
    if images and not bare:
        return Check("image", "ok", f"{task.path.name} runs in {', '.join(images)}")
    if docker_image and not bare:
        return Check("image", "ok", f"{task.path.name} has no image_id; docker_image is {docker_image}")
    what = f"image_id {bare[0]} is no container" if bare else "there is no image_id"
    sentence = (
        f"{what} in {task.path.name}: a bare VM; write image_id: docker:IMAGE, or docker_image in the config"
    )
    return Check("image", "warn", sentence)


def accelerator_check(names: Iterable[str], limits: Limits) -> Check:
    """Hold accelerators against the ones that are allowed."""
    wanted = sorted(set(names))
    if limits.accelerators is None:
        return Check("accelerators", "ok", f"{', '.join(wanted) or 'none asked for'}; limits allow any")
    allowed = {name.lower() for name in limits.accelerators}
    outside = [name for name in wanted if name.lower() not in allowed and name != "CPU"]
    if outside:
        sentence = f"{', '.join(outside)} is not in limits.accelerators ({', '.join(limits.accelerators)})"
        return Check("accelerators", "fail", f"{sentence}; change the task YAML or the limits")
    return Check("accelerators", "ok", f"{', '.join(wanted) or 'none'} asked for, allowed")


def _options(resources: dict[str, Any], changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what a task may run on: each of ``any_of`` or ``ordered`` over the common part."""
    common = {key: value for key, value in resources.items() if key not in ("any_of", "ordered")}
    choices = resources.get("any_of") or resources.get("ordered")
    for choice in choices if isinstance(choices, list) else [{}]:
        yield {**common, **(choice if isinstance(choice, dict) else {}), **changes}


def _machines(option: dict[str, Any]) -> Iterator[Machine]:
    is_spot = option.get("use_spot") is True
    accelerators = option.get("accelerators")
    if accelerators is None:
        cpus = _COUNT.match(str(option.get("cpus") or ""))
        if cpus:
            yield Machine("CPU", float(cpus[0]), is_spot)
        return
    if isinstance(accelerators, dict):
        named = [(str(name), count) for name, count in accelerators.items()]
    else:
        several = accelerators if isinstance(accelerators, list) else [accelerators]
        named = [(name, count) for each in several for name, _, count in [str(each).partition(":")]]
    for name, count in named:
        number = _COUNT.match(str(count))
        yield Machine(name.strip(), float(number[0]) if number else 1.0, is_spot)
