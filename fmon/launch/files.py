"""Check that the local files that the jobs upload exist, after SkyPilot has filled their variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmon.config.placeholders import placeholders
from fmon.launch.check import Check
from fmon.launch.job_yaml import job_envs
from fmon.text import cut, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.model import Experiment

_VARIABLE = re.compile(r"\$\{?\b([a-zA-Z_][a-zA-Z0-9_]*)\b\}?")
"""The references that SkyPilot fills in ``workdir`` and ``file_mounts``."""


def files_check(experiment: Experiment, task: Task, environment: Environment, folder: Path) -> Check:
    """Check that the local files that the jobs upload exist.

    Parameters
    ----------
    experiment, task
        The config and its task; a path may contain the variable of a factor.
    environment
        Values for variables that the task declares without one.
    folder
        Folder that relative paths are relative to, as for ``sky jobs launch``.
    """
    paths = _filled(experiment, task, environment)
    open_ones = [path for path in paths if placeholders(path)]
    if open_ones:
        sentence = (
            f"{task.path.name} uploads or mounts {cut(open_ones[0], 80)!r}, and no job has the variable "
            f"{listed(placeholders(open_ones[0]))}; declare it in the task, or set it in the config"
        )
        return Check("files", "fail", sentence)
    missing = [
        path for path in paths if "://" not in path and not (folder / Path(path).expanduser()).exists()
    ]
    if missing:
        sentence = (
            f"{task.path.name} uploads {listed(missing)}, which does not exist in {folder}; paths are "
            "relative to the folder in which fmon is run, as for sky jobs launch"
        )
        return Check("files", "fail", sentence)
    return Check("files", "ok", f"every local file that {task.path.name} uploads exists")


def _filled(experiment: Experiment, task: Task, environment: Environment) -> list[str]:
    """List the sources of all jobs, each once."""
    written = list(_sources(task))
    if not any("$" in each for each in written):
        return written
    outside = {
        name: environment.get(name) if value is None else environment.filled(str(value))
        for _, name, value in task.declared
    }
    found: dict[str, None] = {}
    for condition in experiment.conditions:
        envs = job_envs(experiment, condition, experiment_id="", cycle=0)
        values = {**outside, **environment.passed, **envs}
        found |= dict.fromkeys(_fill(each, values) for each in written)
    return list(found)


def _fill(text: str, values: Mapping[str, str | None]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1]) or found[0], text)


def _sources(task: Task) -> Iterator[str]:
    """Yield the working folder and what is mounted."""
    for document in task.documents:
        mounts = document.get("file_mounts")
        sources: list[Any] = [document.get("workdir")]
        for mount in mounts.values() if isinstance(mounts, dict) else ():
            source = mount.get("source") if isinstance(mount, dict) else mount
            sources += source if isinstance(source, list) else [source]
        yield from (each for each in sources if isinstance(each, str))
