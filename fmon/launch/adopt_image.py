"""The image that adopted jobs run with: from the task YAML, or from what SkyPilot recorded for the jobs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fmon.clients.registry import pinned_digest
from fmon.config.source import is_file
from fmon.config.task import images_of, parse_task, read_task
from fmon.errors import ConfigError, RegistryError
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fmon.config.task import Task
    from fmon.model import Experiment, Manifest
    from fmon.sky.reader import JobSpec

_IMAGE = re.compile("image|docker:")


def task_of_jobs(experiment: Experiment, specs: Iterable[JobSpec]) -> tuple[Task | None, list[str]]:
    """Return the task of adopted jobs, and a warning if its file does not exist.

    Parameters
    ----------
    experiment
        The config.
    specs
        What SkyPilot recorded for the jobs; read only if there is no file.

    Raises
    ------
    ConfigError
        The file exists, but is not a valid task YAML.
    """
    path = Path(experiment.config_file).parent / experiment.skypilot_yaml
    if is_file(path):
        return read_task(experiment), []
    warning = (
        f"the task YAML {path} does not exist; "
        "fmon relaunch needs it (skypilot_yaml in the config, or --task)"
    )
    for spec in specs:
        try:
            return parse_task(path, spec.user_yaml or ""), [warning]
        except ConfigError:
            continue
    return None, [warning]


def images_of_jobs(experiment: Experiment, task: Task | None, specs: Iterable[JobSpec]) -> list[str]:
    """List the container images that adopted jobs run with, the newest job's first; empty on a bare VM.

    What SkyPilot recorded for the jobs counts. The file may have changed since, so it only counts if
    nothing is recorded.

    Parameters
    ----------
    experiment, task
        The config, and the task as far as it is known.
    specs
        What SkyPilot recorded for the jobs, oldest first.
    """
    texts = [spec.user_yaml for spec in specs if spec.user_yaml]
    # Thousands of jobs differ in their variables, few in their images.
    distinct = {tuple(line for line in text.splitlines() if _IMAGE.search(line)): text for text in texts}
    tasks = []
    for text in reversed(distinct.values()):
        try:
            tasks.append(parse_task(Path(experiment.skypilot_yaml), text))
        except ConfigError:
            continue
    if not tasks and task is not None:
        tasks = [task]
    images = [_image(experiment, each) for each in tasks] or [experiment.docker_image]
    return [image for image in dict.fromkeys(images) if image is not None]


def _image(experiment: Experiment, task: Task) -> str | None:
    """Return the image of a task; the config's is only for tasks without one."""
    images = [image.removeprefix("docker:") for image in images_of(task) if image.startswith("docker:")]
    if experiment.docker_image in images:
        return experiment.docker_image
    return next(iter(images), experiment.docker_image)


def record_image(manifest: Manifest, images: Sequence[str], ask: Callable[[str], str] | None) -> list[str]:
    """Record the image of adopted jobs and its digest, which F3 compares with.

    A digest that is known already is kept: the failed attempts ran with it.

    Parameters
    ----------
    manifest
        Changed in memory.
    images
        The images that the jobs run with; the first counts.
    ask
        Returns the digest of an image from its registry; None = do not ask.

    Returns
    -------
    list
        Warnings about what is not known for certain.
    """
    if manifest.docker_digest is not None:
        return []
    image = manifest.docker_image = next(iter(images), None)
    if image is None:
        return []
    warnings = []
    if len(images) > 1:
        warnings.append(f"the jobs run with several images ({listed(images)}); F3 compares with {image}")
    manifest.docker_digest, manifest.docker_digest_source = pinned_digest(image), "pinned"
    if manifest.docker_digest is not None:
        return warnings
    manifest.docker_digest_source = None
    if ask is None:
        return warnings
    try:
        manifest.docker_digest = ask(image)
    except RegistryError as fault:
        return [
            *warnings,
            f"the digest of the image is not recorded ({fault}); the first fmon fix verify that reaches the "
            "registry records it",
        ]
    manifest.docker_digest_source = "assumed_at_adoption"
    return [
        *warnings,
        f"{image} is now {manifest.docker_digest}; recorded as the image of the adopted jobs, which ran "
        "with another one if it was pushed after they started",
    ]
