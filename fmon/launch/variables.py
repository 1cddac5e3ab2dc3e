"""Check the variables of the jobs against the task: a cell must run with its levels."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

from fmon.config.placeholders import has_reference, shell_form
from fmon.config.task import is_open
from fmon.launch.check import Check
from fmon.launch.job_yaml import job_envs, unset
from fmon.launch.system_variables import is_of_system
from fmon.model import written_text
from fmon.text import cut, listed

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
    names = _SetNames(experiment)
    return [
        _values(experiment, task, environment),
        *_of_the_system(experiment, task, environment),
        *_unresolved(experiment, task),
        *_shell_forms(task, environment, names),
        *_secrets(task, names),
        *_factors(experiment, task),
        *_others(experiment, task),
        *_also_set(task, environment, names),
    ]


class _SetNames:
    """The variables that fmon sets; the conditions are looked at only if a check needs them, and once."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    @cached_property
    def _of_conditions(self) -> set[frozenset[str]]:
        return {
            frozenset(job_envs(self._experiment, condition, experiment_id="", cycle=0))
            for condition in self._experiment.conditions
        }

    @property
    def of_all(self) -> frozenset[str]:
        """Those of every job."""
        return frozenset.intersection(*self._of_conditions)

    @property
    def of_any(self) -> frozenset[str]:
        """Those of some job."""
        return frozenset.union(*self._of_conditions)


def _values(experiment: Experiment, task: Task, environment: Environment) -> Check:
    """Check that every declared variable has a value."""
    without: dict[str, None] = {}
    incomplete: dict[str, None] = {}
    # Most tasks have a value for each: then no condition has to be checked.
    has_to_check = environment.incomplete or unset(task, {}, environment)
    for condition in experiment.conditions if has_to_check else ():
        envs = job_envs(experiment, condition, experiment_id="", cycle=0)
        without |= dict.fromkeys(unset(task, envs, environment))
        incomplete |= dict.fromkeys(name for name in environment.incomplete if name not in envs)
    if incomplete:
        sentence = (
            f"the env file's {listed(incomplete)} refers to a variable without a value; write the value, or "
            "set that variable in the environment of fmon"
        )
        return Check("variables", "fail", sentence)
    if not without:
        return Check("variables", "ok", f"every variable that {task.path.name} declares has a value")
    sentence = (
        f"{task.path.name} declares {listed(without)} without a value; pass a file with --env-file, or "
        "set it in the environment of fmon or in the config (fixed, envs, overrides)"
    )
    return Check("variables", "fail", sentence)


def _shell_forms(task: Task, environment: Environment, names: _SetNames) -> Iterator[Check]:
    """Check that no declared value needs a shell: the jobs would get it as it is written."""
    found = {
        (kind, name): form
        for kind, name, value in task.declared
        if not environment.passed.get(name) and (form := shell_form(str(value))) is not None
    }
    for (kind, name), form in found.items():
        if kind == "secrets" or name not in names.of_all:
            sentence = (
                f"SkyPilot does not expand {form} in {name} of {task.path.name}; declare {name} without a "
                "value (null) or as ${NAME}, which fmon fills"
            )
            yield Check("shell", "fail", sentence)


def _set_by_config(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """Yield (what sets it, name, value) of the variables that the config sets, the same value once."""
    levels: dict[tuple[str, str], None] = {}
    own: dict[int, dict[str, str | None]] = {}
    for condition in experiment.conditions:
        own.setdefault(id(condition.envs), condition.envs)
        for factor, level in condition.factors.items():
            levels.setdefault((factor, written_text(experiment, factor, level)))
    for factor, text in levels:
        yield f"factor {factor}", experiment.env_names.get(factor, factor.upper()), text
    for name, value in experiment.fixed.items():
        yield "the config", name, value
    for envs in own.values():
        yield from (("the config", name, value) for name, value in envs.items() if value is not None)


def _of_the_system(experiment: Experiment, task: Task, environment: Environment) -> Iterator[Check]:
    """Check that no variable replaces one of the system: with another PATH no program is found."""
    given = {name: (what, value) for what, name, value in reversed(list(_set_by_config(experiment)))}
    outside = dict.fromkeys((name for _, name, _ in task.declared), f"{task.path.name} would set {{}}")
    outside |= dict.fromkeys(environment.passed, "the env file would set {}")
    outside |= dict.fromkeys(
        task.without_value("envs"),
        f"{task.path.name} declares {{}} without a value, so jobs would get that of this machine",
    )
    for name in dict.fromkeys((*given, *outside)):
        if not is_of_system(name) or name in experiment.allow_variables:
            continue
        remedy = "use another name"
        if name in given:
            what, value = given[name]
            said = f"{what} would set {name}={cut(value, 60)}"
            if factor := what.partition("factor ")[2]:
                remedy = f"use another variable (envs: {{{factor}: {name}_LEVEL}})"
        else:
            said = outside[name].format(name)
        sentence = (
            f"{said}, but the system, bash or SkyPilot sets it in each job; {remedy}, or write "
            f"allow_variables: [{name}] in the config"
        )
        yield Check("system_variables", "fail", sentence)


def _unresolved(experiment: Experiment, task: Task) -> Iterator[Check]:
    """Check that no value of the config needs a shell: the jobs would get ``${NAME}`` as it is written."""
    found = {(what, name): value for what, name, value in _set_by_config(experiment) if has_reference(value)}
    for (what, name), value in found.items():
        sentence = (
            f"{what} would set {name} to {cut(value, 80)!r}, which nothing expands; write the value, or "
            f"remove it from the config and declare it in {task.path.name}, where fmon fills ${{NAME}}"
        )
        yield Check("unresolved", "fail", sentence)
    for resources in [
        *task.resources,
        *{id(each.resources): each.resources for each in experiment.conditions}.values(),
    ]:
        for key, text in _texts(resources):
            if has_reference(text):
                sentence = (
                    f"resources have {key}: {cut(text, 80)!r}, and SkyPilot expands no variable there; "
                    "write the value"
                )
                yield Check("unresolved", "fail", sentence)


def _texts(value: object, key: str = "resources") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of all texts inside a value."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, key)


def _secrets(task: Task, names: _SetNames) -> Iterator[Check]:
    """Check that nothing that fmon sets is a secret of the task, whose value SkyPilot prefers to ``envs``."""
    for name in (name for kind, name, _ in task.declared if kind == "secrets"):
        if name in names.of_any:
            sentence = (
                f"{name} is a secret in {task.path.name}, which takes precedence over the config, so every "
                "job would run with the same one; declare it under envs"
            )
            yield Check("secrets", "fail", sentence)


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


def _also_set(task: Task, environment: Environment, names: _SetNames) -> Iterator[Check]:
    """Warn of variables of the env file that the config or the task sets too."""
    if not environment.passed:
        return
    unused = [name for name in environment.passed if name in names.of_all]
    if unused:
        sentence = (
            f"the env file also sets {listed(unused, 10)}, which the config sets: the config takes precedence"
        )
        yield Check("env_file", "warn", sentence)
    own = {name for _, name, value in task.declared if not is_open(value)} | names.of_any
    everywhere = [name for name in environment.passed if name in own and name not in unused]
    if everywhere:
        sentence = f"the env file also sets {listed(everywhere, 10)}, for every job"
        yield Check("env_file", "warn", sentence)


def _is_known(experiment: Experiment, task: Task, variable: str) -> bool:
    return variable in experiment.undeclared or task.names_variable(variable)
