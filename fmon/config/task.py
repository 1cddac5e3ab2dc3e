"""The SkyPilot task YAML as far as plan and adopt look at it: machines and image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fmon.config.source import check_depth, read_text
from fmon.errors import ConfigError
from fmon.model import Experiment


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task YAML.

    Attributes
    ----------
    path
        Where it stands.
    text
        What it says.
    documents
        Its YAML documents, as they stand there.
    resources
        The ``resources`` of its tasks, one mapping per task that has any.
    node_count
        Machines per job.
    unset, unset_secrets
        Environment variables, and secrets, that it declares without a value.
    """

    path: Path
    text: str
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
        It is not there, is not valid YAML, or holds no task.
    """
    path = Path(experiment.config_file).parent / experiment.skypilot_yaml
    if not path.exists():
        message = (
            f"{experiment.config_file}: the task YAML {experiment.skypilot_yaml!r} is not in {path.parent}; "
            "write its path relative to the config's folder"
        )
        raise ConfigError(message)
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
        text=text,
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


def _options(resources: dict[str, Any], changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what a task may run on: each of ``any_of`` or ``ordered`` over the common part."""
    common = {key: value for key, value in resources.items() if key not in ("any_of", "ordered")}
    choices = resources.get("any_of") or resources.get("ordered")
    for choice in choices if isinstance(choices, list) else [{}]:
        yield {**common, **(choice if isinstance(choice, dict) else {}), **changes}
