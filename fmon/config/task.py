"""The parts of the SkyPilot task YAML that fmon reads: machines, image and variables without a value."""

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
        Its path.
    text
        Its content.
    documents
        Its YAML documents, as parsed.
    resources
        The ``resources`` of its tasks, one mapping for each task that has any.
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
        It does not exist, is not valid YAML, or contains no task.
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
        message = f"the task YAML {path} is not valid YAML ({reason}); check it with sky jobs launch --dryrun"
        raise ConfigError(message) from fault
    if not documents or not all(isinstance(document, dict) for document in documents):
        message = f"the task YAML {path} contains no task; add at least a run: command"
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
    """List the variables that the tasks declare without a value."""
    declared = [each[kind] for each in documents if isinstance(each.get(kind), dict)]
    return list(
        dict.fromkeys(str(name) for each in declared for name, value in each.items() if value is None)
    )


def cloud_of(resources: Mapping[str, Any]) -> str | None:
    """Return the cloud that a task's resources name, in lower case."""
    named = resources.get("cloud") or str(resources.get("infra") or "").partition("/")[0]
    return str(named).lower() or None


def images_of(task: Task) -> list[str]:
    """List the task's images as written: ``docker:registry/x:tag`` or a VM image."""
    found = [
        option["image_id"]
        for each in task.resources
        for option in _options(each, {})
        if option.get("image_id") is not None
    ]
    flat = (image for each in found for image in (each.values() if isinstance(each, dict) else [each]))
    return list(dict.fromkeys(map(str, flat)))


def image_of(experiment: Experiment, task: Task) -> str | None:
    """Return the container image of the jobs, without ``docker:``; None on a bare VM."""
    images = [image.removeprefix("docker:") for image in images_of(task) if image.startswith("docker:")]
    return experiment.docker_image or next(iter(images), None)


def _options(resources: dict[str, Any], changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources a task may use: each option of ``any_of`` or ``ordered`` over the common part."""
    common = {key: value for key, value in resources.items() if key not in ("any_of", "ordered")}
    choices = resources.get("any_of") or resources.get("ordered")
    for choice in choices if isinstance(choices, list) else [{}]:
        yield {**common, **(choice if isinstance(choice, dict) else {}), **changes}
