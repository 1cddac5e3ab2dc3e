"""Check the variables of the jobs against the task: a cell must run with its levels."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fmon.launch.check import Check
from fmon.launch.job_yaml import job_envs, unset
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.model import Experiment


def variable_checks(experiment: Experiment, task: Task, environment: Environment) -> list[Check]:
    """Check that every factor reaches the task, and that every declared variable has a value.

    Parameters
    ----------
    experiment
        The config.
    task
        Its task.
    environment
        Values for variables that the task declares without one.
    """
    return [_values(experiment, task, environment), *_factors(experiment, task), *_others(experiment, task)]


def _values(experiment: Experiment, task: Task, environment: Environment) -> Check:
    """Check that every declared variable has a value."""
    without: dict[str, None] = {}
    # Most tasks have a value for each, so that no condition has to be checked.
    for condition in experiment.conditions if unset(task, {}, environment) else ():
        envs = job_envs(experiment, condition, experiment_id="", cycle=0)
        without |= dict.fromkeys(unset(task, envs, environment))
    if not without:
        return Check("variables", "ok", f"every variable that {task.path.name} declares has a value")
    sentence = (
        f"{task.path.name} declares {listed(without)} without a value; pass a file with --env-file, or "
        "set it in the environment of fmon or in the config (fixed, envs, overrides)"
    )
    return Check("variables", "fail", sentence)


def _factors(experiment: Experiment, task: Task) -> Iterator[Check]:
    """Check that the task knows the variable of each factor: otherwise all levels run the same job."""
    unknown = {
        factor: variable
        for factor in experiment.factors
        if not _is_known(experiment, task, variable := experiment.env_names.get(factor, factor.upper()))
    }
    for factor, variable in unknown.items():
        remedy = _remedy(experiment, task, factor, variable)
        yield Check("factors", "fail", f"{variable} is not declared by {task.path.name}{remedy}")
    if not unknown:
        yield Check("factors", "ok", f"{task.path.name} has the variable of every factor")


def _remedy(experiment: Experiment, task: Task, factor: str, variable: str) -> str:
    used = {experiment.env_names.get(each, each.upper()) for each in experiment.factors}
    declared = [name for _, name, _ in task.declared if name not in used]
    nearest = [name for name in declared if factor.upper() in name.upper()]
    nearest = nearest or get_close_matches(variable, declared, n=1, cutoff=0.4)
    if nearest:
        return f"; {nearest[0]} is: envs: {{{factor}: {nearest[0]}}}"
    return (
        f", so all levels of {factor} would run the same job; declare it in the task "
        f"(envs: {{{variable}: null}}) or, if the program reads it itself, write undeclared: [{variable}]"
    )


def _others(experiment: Experiment, task: Task) -> Iterator[Check]:
    """Warn of other variables that the task does not declare."""
    names = dict.fromkeys(experiment.fixed)
    for condition in experiment.conditions:
        names |= dict.fromkeys(name for name, value in condition.envs.items() if value is not None)
    unknown = [name for name in names if not _is_known(experiment, task, name)]
    if unknown:
        sentence = (
            f"{task.path.name} does not declare {listed(unknown, 10)}; if the program reads them "
            f"itself, write undeclared: [{', '.join(unknown)}]"
        )
        yield Check("undeclared", "warn", sentence)


def _is_known(experiment: Experiment, task: Task, variable: str) -> bool:
    return variable in experiment.undeclared or task.names_variable(variable)
