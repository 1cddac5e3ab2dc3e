"""Write a template of a config from a task YAML: known values are filled in, the rest are comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fmon.config.source import read_text
from fmon.config.task import parse_task
from fmon.init.design import factor_names
from fmon.init.document import comment, flow, typed
from fmon.init.jobs import is_withheld
from fmon.model import level_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path


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
    values = {name: value for kind, name, value in task.declared if not _is_outside(kind, name, value)}
    factors = factor_names(values)
    active = [each for number, each in enumerate(values) if number == 0 or values[each] is None]
    envs = {factors[each]: each for each in active if factors[each].upper() != each}
    outside = [name for kind, name, value in task.declared if _is_outside(kind, name, value)]
    lines = [
        comment("Fill in the levels of the factors, then check the result with fmon plan."),
        f"experiment_name: {flow(name[:100] or 'experiment')}",
        f"skypilot_yaml: {flow(str(path))}",
        "factors:  # what varies between the jobs, such as fold: [0, 1, 2]; the task sets the rest",
        *_levels(values, factors, active),
        *([f"envs: {flow(envs)}"] if envs else []),
        "# fixed: {MAX_EPOCHS: 2}        # variables of every job",
        '# job_name: "{model}-f{fold}"    # default: all levels, joined by -',
        "# expect: {minutes: 30}         # run time of a job, for the estimate and the overrun alarm",
        "# limits: {budget_usd: 20}",
        *([comment(f"Set in the environment or with --env-file: {', '.join(outside)}")] if outside else []),
    ]
    return "\n".join(lines) + "\n"


def _levels(values: Mapping[str, Any], factors: Mapping[str, str], active: Collection[str]) -> Iterator[str]:
    """Yield a line for each variable: a comment, except for those that are factors already."""
    if not factors:
        yield "  model: [a, b]  # the task declares no variables (envs); each job gets MODEL=a or MODEL=b"
    for variable, factor in factors.items():
        text = "" if values[variable] is None else level_text(values[variable])
        is_level = bool(text) and text == text.strip() and text.isprintable()
        levels = flow(typed([text]) if is_level else ["level_1", "level_2"])
        if variable in active:
            yield f"  {factor}: {levels}"
        else:
            note = f"  # needs envs: {flow({factor: variable})}" if factor.upper() != variable else ""
            yield f"  # {factor}: {levels}{note}"


def _is_outside(kind: str, name: str, value: object) -> bool:
    """Return whether a variable gets its value from outside, or is a secret."""
    return kind == "secrets" or is_withheld(name, "x1" * 10 if value is None else str(value))
