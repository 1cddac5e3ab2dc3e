"""The parts of the SkyPilot task YAML that fmon reads: machines, image and variables without a value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fmon.config.placeholders import placeholders
from fmon.config.regions import cloud_of, with_regions
from fmon.config.shape import shown
from fmon.config.source import check_depth, is_file, read_text, without_dots
from fmon.errors import ConfigError
from fmon.model import Experiment
from fmon.yaml_values import YamlValueError, load_documents

USES = ("setup", "run", "file_mounts", "workdir")
"""Keys of a task whose text can use a variable."""


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
    declared
        (``envs`` or ``secrets``, name, value) of the variables that its tasks declare; None = no value.
    region_file
        The region file, which replaces the regions of the YAML; None = none.
    """

    path: Path
    text: str
    documents: list[dict[str, Any]]
    resources: list[dict[str, Any]]
    node_count: int
    declared: list[tuple[str, str, Any]]
    region_file: Path | None = None

    def without_value(self, kind: str) -> list[str]:
        """List the ``envs`` or ``secrets`` that get their value from outside: empty, or a placeholder."""
        return [name for each, name, value in self.declared if each == kind and is_open(value)]

    def names_variable(self, name: str) -> bool:
        """Return whether the task declares a variable, or its commands and paths name it."""
        if any(name == each for _, each, _ in self.declared):
            return True
        texts = (str(document.get(key) or "") for document in self.documents for key in USES)
        return any(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", text) for text in texts)


def is_open(value: Any) -> bool:
    """Return whether a declared variable gets its value from outside; an empty text is a value."""
    return value is None or bool(placeholders(str(value)))


def read_task(experiment: Experiment) -> Task:
    """Read the experiment's task YAML.

    Raises
    ------
    ConfigError
        It does not exist, is not valid YAML, or contains no task.
    """
    path = without_dots(Path(experiment.config_file).parent / experiment.skypilot_yaml)
    if not is_file(path):
        message = (
            f"{experiment.config_file}: the task YAML {shown(experiment.skypilot_yaml)} "
            f"is not in {path.parent}; write its path relative to the config's folder"
        )
        raise ConfigError(message)
    region_file = Path(experiment.region_file) if experiment.region_file else None
    return parse_task(path, read_text(path), region_file)


def parse_task(path: Path, text: str, region_file: Path | None = None) -> Task:
    """Parse a task YAML.

    Parameters
    ----------
    path
        Its path, for messages.
    text
        Its content.
    region_file
        Replaces the regions of the task; None = it keeps its own.

    Raises
    ------
    ConfigError
        It is not valid YAML, contains no task, or declares variables that are no mapping.
    """
    try:
        check_depth(text, path)
        documents = [document for document in load_documents(text) if document]
    except (yaml.YAMLError, YamlValueError) as fault:
        reason = " ".join(str(fault).split())
        message = f"the task YAML {path} is not valid YAML ({reason}); check it with sky jobs launch --dryrun"
        raise ConfigError(message) from fault
    if not documents or not all(isinstance(document, dict) for document in documents):
        message = f"the task YAML {path} contains no task; add at least a run: command"
        raise ConfigError(message)
    _check_declared(documents, path)
    if region_file:
        documents = with_regions(documents, region_file)
    resources = [each["resources"] for each in documents if isinstance(each.get("resources"), dict)]
    nodes = [each["num_nodes"] for each in documents if type(each.get("num_nodes")) is int]
    return Task(
        path=path,
        text=text,
        documents=documents,
        resources=resources,
        node_count=max(nodes, default=1),
        declared=list(_declared(documents)),
        region_file=region_file,
    )


def _check_declared(documents: list[dict[str, Any]], path: Path) -> None:
    """Refuse variables that are no mapping."""
    for kind in ("envs", "secrets"):
        if any(not isinstance(document.get(kind) or {}, dict) for document in documents):
            message = f"{path}: {kind} is not a mapping; write {kind}: {{NAME: value}}, or null as the value"
            raise ConfigError(message)


def _declared(documents: list[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Yield the variables that the tasks declare, each once."""
    seen: set[tuple[str, str]] = set()
    for kind in ("envs", "secrets"):
        for document in documents:
            variables = document.get(kind)
            for name, value in variables.items() if isinstance(variables, dict) else ():
                if (kind, str(name)) not in seen:
                    seen.add((kind, str(name)))
                    yield kind, str(name), value


def images_of(task: Task, changes: Iterable[Mapping[str, Any]] = ({},)) -> list[str]:
    """List the images of a task's jobs: ``docker:registry/x:tag``, or a VM image as written.

    Parameters
    ----------
    task
        The task.
    changes
        Resources that replace those of the task, for each kind of job.
    """
    options = (
        option for change in changes for each in task.resources or [{}] for option in options_of(each, change)
    )
    return list(dict.fromkeys(image for option in options for image in _images_of(option)))


def _images_of(option: Mapping[str, Any]) -> Iterator[str]:
    """Yield the images of one choice of resources, with ``docker:`` where SkyPilot means a container."""
    image_id = option.get("image_id")
    images = image_id.items() if isinstance(image_id, dict) else [(None, image_id)]
    is_container = cloud_of(option) in ("kubernetes", "k8s")
    for place, image in images:
        if image is not None:
            text = str(image).strip()
            is_known = text.startswith("docker:") or not (is_container or place == "docker")
            yield text if is_known else f"docker:{text}"


def image_of(experiment: Experiment, task: Task) -> str | None:
    """Return the container image of the jobs, without ``docker:``; None on a bare VM."""
    images = [image.removeprefix("docker:") for image in images_of(task) if image.startswith("docker:")]
    return experiment.docker_image or next(iter(images), None)


def options_of(resources: dict[str, Any], changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources a task may use: each option of ``any_of`` or ``ordered`` over the common part."""
    common = {key: value for key, value in resources.items() if key not in ("any_of", "ordered")}
    choices = resources.get("any_of") or resources.get("ordered")
    for choice in choices if isinstance(choices, list) else [{}]:
        yield {**common, **(choice if isinstance(choice, dict) else {}), **changes}
