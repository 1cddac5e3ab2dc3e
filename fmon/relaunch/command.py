"""The launch of a condition's job as a person would type it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fmon.model import level_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.config.task import Task
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
"""Resources that ``sky jobs launch`` has an option for; ``use_spot`` is a flag of its own."""


def typed_launch(task: Task, condition: Condition, envs: Mapping[str, str]) -> str:
    """Write the command for the shell; what has no option stands behind it as a comment.

    Parameters
    ----------
    task
        The experiment's task YAML.
    condition
        Its job's name, and the resources that differ.
    envs
        Environment variables of the job (``config.job.job_envs``).
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
    for name, value in envs.items():
        words += ["--env", f"{name}={value}"]
    # Without a value the option takes the one that the shell has: no secret stands in the command.
    words += _by_name("--env", [name for name in task.unset if name not in envs])
    words += _by_name("--secret", task.unset_secrets)
    command = shlex.join([*words, str(task.path)])
    return f"{command}  # resources {other} stand in a copy of the YAML" if other else command


def _by_name(option: str, names: list[str]) -> list[str]:
    return [word for name in names for word in (option, name)]
