"""Start a config from a task YAML alone: what can be known is filled in, the rest is a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fmon.config.source import read_text
from fmon.config.task import parse_task
from fmon.init.design import factor_names
from fmon.init.document import comment, flow, typed
from fmon.init.jobs import is_withheld

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.config.task import Task


def start_config(path: Path) -> str:
    """Return a config to fill in: a valid one of a single condition if the task declares a variable.

    Parameters
    ----------
    path
        The task YAML.

    Raises
    ------
    ConfigError
        It does not exist, or is not a valid task YAML.
    """
    task = parse_task(path, read_text(path))
    name = re.sub(r"[^a-z0-9]+", "_", str(task.documents[0].get("name") or path.stem).lower()).strip("_")
    lines = [
        comment(f"Fill in the levels of the factors, then check the result: fmon plan CONFIG ({path.name})"),
        f"experiment_name: {flow(name[:100] or 'experiment')}",
        f"skypilot_yaml: {flow(str(path))}",
        "factors:  # what varies between the jobs; delete the other lines, the task sets those variables",
        *_factors(task),
        comment("fixed: {MAX_EPOCHS: 2}  # variables of every job"),
        comment('job_name: "{factor}-{other}"  # the default is all levels, joined by -'),
        comment("expect: {minutes: 30}  # of one job, for the estimate and the overrun alarm"),
        comment("limits: {budget_usd: 20}"),
    ]
    outside = [each for kind, each, value in task.declared if _is_outside(kind, each, value)]
    if outside:
        lines.append(comment(f"Set in the environment or with --env-file: {', '.join(outside)}"))
    return "\n".join(lines) + "\n"


def _factors(task: Task) -> list[str]:
    """Return a line for each variable that can be a factor, with the task's own value as its level."""
    values = {name: value for kind, name, value in task.declared if not _is_outside(kind, name, value)}
    lines = []
    for variable, factor in factor_names(values).items():
        value = values[variable]
        text = "" if value is None else str(value)
        levels = (
            typed([text]) if text.strip() == text and text.isprintable() and text else ["level_1", "level_2"]
        )
        note = f"  # {variable}" if factor.upper() != variable else ""
        lines.append(f"  {factor}: {flow(levels)}{note}")
    return lines or ["  model: [a, b]  # the task declares no variable (envs); the job gets MODEL=a or b"]


def _is_outside(kind: str, name: str, value: object) -> bool:
    """Return whether a variable gets its value from outside, or is a secret."""
    return kind == "secrets" or is_withheld(name, "x1" * 10 if value is None else str(value))
