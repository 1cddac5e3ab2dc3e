"""The image that adopted jobs run with: from the task YAML, or from what SkyPilot recorded for the jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmon.config.source import is_file
from fmon.config.task import image_of, parse_task, read_task
from fmon.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fmon.config.task import Task
    from fmon.model import Experiment, Manifest
    from fmon.sky.reader import JobSpec


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


def record_image(
    manifest: Manifest, experiment: Experiment, task: Task | None, ask: Callable[[str], str] | None
) -> list[str]:
    """Record the image of adopted jobs, and its digest in the registry now, which F3 compares with.

    A digest that is known already is kept: the failed attempts ran with it.

    Parameters
    ----------
    manifest
        Changed in memory.
    experiment, task
        The config, and the task as far as it is known.
    ask
        Returns the digest of an image from its registry; None = do not ask.

    Returns
    -------
    list
        A warning if the digest is not known for certain.
    """
    manifest.docker_image = image_of(experiment, task) if task else experiment.docker_image
    image = manifest.docker_image
    if image is None or ask is None or manifest.docker_digest is not None:
        return []
    try:
        manifest.docker_digest = ask(image)
    except RegistryError as fault:
        return [f"the image's digest is not recorded, so F3 refuses a relaunch; adopt again ({fault})"]
    if "@sha256:" in image:
        return []
    return [
        f"{image} is now {manifest.docker_digest}; recorded as the image of the adopted jobs, which ran "
        "with another one if it was pushed after they started"
    ]
