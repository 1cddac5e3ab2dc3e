"""Write a template of a config from a task YAML: known values are filled in, the rest are comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fmon.config.levels import is_level
from fmon.config.source import read_text
from fmon.config.task import parse_task
from fmon.init.design import factor_names
from fmon.init.document import comment, flow, prices, typed
from fmon.init.jobs import is_variable, is_withheld
from fmon.model import level_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

PLUMBING = re.compile(r"(GIT|MLFLOW|PYTORCH|PREFECT)_.*|.*_(DIR|PATH|HOST)|.*_ALLOW_.*")
"""Names of variables that set up tools or name places."""


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
    outside = [name for kind, name, value in task.declared if _is_outside(kind, name, value)]
    declared = {name: value for _, name, value in task.declared if name not in outside}
    misnamed = [name for name in declared if not is_variable(name)]
    plumbing = [name for name in declared if name not in misnamed and is_plumbing(name, declared[name])]
    values = {name: value for name, value in declared.items() if name not in (*misnamed, *plumbing)}
    factors = factor_names(values)
    active = [each for number, each in enumerate(values) if number == 0 or values[each] is None]
    envs = {factors[each]: each for each in active if factors[each].upper() != each}
    template = "-".join(f"{{{factors[each]}}}" for each in active) or "{model}"
    accelerators = next((each["accelerators"] for each in task.resources if "accelerators" in each), None)
    lines = [
        comment("Fill in the levels of the factors, then check the result with fmon plan."),
        f"experiment_name: {flow(name[:100] or 'experiment')}",
        f"skypilot_yaml: {flow(str(path))}",
        "factors:  # what varies between the jobs, such as fold: [0, 1, 2]; the task sets the rest",
        *_levels(values, factors, active),
        *([f"envs: {flow(envs)}"] if envs else []),
        "# fixed: {MAX_EPOCHS: 2}        # variables of every job",
        f'# job_name: "{template}"    # default: all levels, joined by -',
        "# expect: {minutes: 30}         # run time of a job, for the estimate and the overrun alarm",
        "# limits: {budget_usd: 20}",
        comment(prices(accelerators)),
        *(
            [comment(f"Not proposed, since they look like settings of tools: {', '.join(plumbing)}")]
            * bool(plumbing)
        ),
        *(
            [comment(f"Ignored, since no variable can have such a name: {', '.join(misnamed)}")]
            * bool(misnamed)
        ),
        *([comment(f"Set in the environment or with --env-file: {', '.join(outside)}")] if outside else []),
    ]
    return "\n".join(lines) + "\n"


def _levels(values: Mapping[str, Any], factors: Mapping[str, str], active: Collection[str]) -> Iterator[str]:
    """Yield a line for each variable: a comment, except for those that are factors already."""
    if not factors:
        yield "  model: [a, b]  # the task declares no variables (envs); each job gets MODEL=a or MODEL=b"
    for variable, factor in factors.items():
        text = "" if values[variable] is None else level_text(values[variable])
        levels = flow(typed([text]) if is_level(text) else ["level_1", "level_2"])
        if variable in active:
            yield f"  {factor}: {levels}"
        else:
            note = f"  # needs envs: {flow({factor: variable})}" if factor.upper() != variable else ""
            yield f"  # {factor}: {levels}{note}"


def _is_outside(kind: str, name: str, value: object) -> bool:
    """Return whether a variable gets its value from outside, or is a secret."""
    if value is None and is_plumbing(name, value):
        return True
    return kind == "secrets" or is_withheld(name, "x1" * 10 if value is None else str(value))


def is_plumbing(name: str, value: object) -> bool:
    """Return whether a variable is about tools and places rather than about the experiment.

    Examples
    --------
    >>> is_plumbing("LOGS_DIR", "logs"), is_plumbing("SPLITS", "/app/splits"), is_plumbing("FOLD_ID", "0")
    (True, True, False)
    """
    is_place = isinstance(value, str) and (value.startswith(("/", "./", "../", "~/")) or "://" in value)
    return is_place or PLUMBING.fullmatch(name) is not None
