"""The ``sky jobs launch`` command for a condition's job."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fmon.model import level_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.model import Condition

FLAGS = {
    "accelerators": "--gpus",
    "cpus": "--cpus",
    "disk_size": "--disk-size",
    "disk_tier": "--disk-tier",
    "image_id": "--image-id",
    "infra": "--infra",
    "instance_type": "--instance-type",
    "job_recovery": "--job-recovery",
    "memory": "--memory",
    "network_tier": "--network-tier",
}
"""Resources for which ``sky jobs launch`` has an option; ``use_spot`` has its own flag."""


def typed_launch(task: Task, condition: Condition, envs: Mapping[str, str], environment: Environment) -> str:
    """Return the shell command; resources without an option follow as a comment.

    Parameters
    ----------
    task
        The experiment's task YAML.
    condition
        The condition, with its job's name and resources.
    envs
        Environment variables of the job (``launch.job_yaml.job_envs``).
    environment
        The env file, if there is one; its variables are not repeated.
    """
    words = ["sky", "jobs", "launch", "-n", condition.job_name]
    other = {}
    for key, value in condition.resources.items():
        if key == "use_spot":
            words.append("--use-spot" if value else "--no-use-spot")
        elif key == "accelerators" and isinstance(value, dict):
            words += [FLAGS[key], ",".join(f"{name}:{count}" for name, count in value.items())]
        elif key in FLAGS and isinstance(value, (str, int, float)):
            words += [FLAGS[key], level_text(value)]
        else:
            other[key] = value
    if environment.env_file is not None:
        words += ["--env-file", str(environment.env_file)]
    for name, value in envs.items():
        words += ["--env", f"{name}={value}"]
    # Without a value the option uses that of the shell, so the command contains no secret.
    words += _by_name("--env", _outside(task.without_value("envs"), envs, environment))
    words += _by_name("--secret", task.without_value("secrets"))
    command = shlex.join([*words, str(task.path)])
    notes = [f"resources {other}"] if other else []
    notes += [f"the regions of {task.region_file}"] if task.region_file else []
    return f"{command}  # {' and '.join(notes)} are set in a copy of the YAML" if notes else command


def _outside(names: list[str], envs: Mapping[str, str], environment: Environment) -> list[str]:
    """Leave out the variables that fmon or the env file sets."""
    return [name for name in names if name not in envs and name not in environment.passed]


def _by_name(option: str, names: list[str]) -> list[str]:
    return [word for name in names for word in (option, name)]
