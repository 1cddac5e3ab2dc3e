"""Write the task YAML of one condition's job: the experiment's, with the settings of the condition."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from fmon.config.task import is_open
from fmon.launch.command import typed_launch
from fmon.model import CONDITION_TAG, CYCLE_TAG, EXPERIMENT_TAG, envs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.config.task import Task
    from fmon.launch.environment import Environment
    from fmon.model import Condition, Experiment

HEADER = {"name", "execution"}
"""Keys of the document that may precede the tasks of a pipeline and names it."""

CHOICES = ("any_of", "ordered")
DECLARED = ("envs", "secrets")
"""Keys of a task whose variables may be declared without a value."""


def job_envs(
    experiment: Experiment, condition: Condition, *, experiment_id: str, cycle: int
) -> dict[str, str]:
    """Return the environment variables of a condition's job, including its identity."""
    identity = (experiment_id, condition.condition_id, str(cycle))
    tags = dict(zip((EXPERIMENT_TAG, CONDITION_TAG, CYCLE_TAG), identity, strict=True))
    return {
        **envs_of(experiment, condition),
        # MLflow sets these tags on every run, without a line in the training code.
        **({"MLFLOW_RUN_CONTEXT": json.dumps(tags)} if experiment.mlflow else {}),
        **dict(zip(("FMON_EXPERIMENT", "FMON_CONDITION", "FMON_CYCLE"), identity, strict=True)),
    }


def job_yaml(
    task: Task,
    experiment: Experiment,
    condition: Condition,
    *,
    experiment_id: str,
    cycle: int,
    environment: Environment,
) -> str:
    """Write the task YAML of a condition's job.

    Parameters
    ----------
    task
        The experiment's task YAML.
    experiment, condition
        The condition; the config's resources override those of the task, in each of its choices.
    experiment_id, cycle
        Stored in its metadata, from which ``sky.record`` reads them.
    environment
        Values for variables that the task declares without one, for placeholders, and those of
        ``--env-file``.
    """
    envs = job_envs(experiment, condition, experiment_id=experiment_id, cycle=cycle)
    tags = {"experiment": experiment_id, "condition": condition.condition_id, "cycle": cycle}
    documents = copy.deepcopy(task.documents)
    if documents[0].keys() <= HEADER:
        documents[0]["name"] = condition.job_name
        bodies = documents[1:]
    elif len(documents) > 1:
        bodies, documents = documents, [{"name": condition.job_name}, *documents]
    else:
        documents[0]["name"] = condition.job_name
        bodies = documents
    for body in bodies:
        passed = _passed(body, environment)
        _fill(body, envs, environment)
        body["envs"] = {**(body.get("envs") or {}), **passed, **envs}
        metadata = body.get("_metadata")
        body["_metadata"] = {**(metadata if isinstance(metadata, dict) else {}), "fmon": tags}
        # SkyPilot's parser refuses resources that are no mapping.
        if condition.resources and isinstance(body.get("resources") or {}, dict):
            body["resources"] = _changed(body.get("resources") or {}, condition.resources)
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class JobWriter:
    """Writes the task YAMLs of one experiment's jobs; the fields are as in ``job_yaml``."""

    task: Task
    experiment: Experiment
    experiment_id: str
    environment: Environment

    def of(self, condition: Condition, cycle: int) -> str:
        """Write the task YAML of a condition's job in a cycle."""
        return job_yaml(
            self.task,
            self.experiment,
            condition,
            experiment_id=self.experiment_id,
            cycle=cycle,
            environment=self.environment,
        )

    def command(self, condition: Condition, cycle: int) -> str:
        """Return the ``sky jobs launch`` command for a condition's job in a cycle."""
        envs = job_envs(self.experiment, condition, experiment_id=self.experiment_id, cycle=cycle)
        return typed_launch(self.task, condition, envs, self.environment)


def unset(task: Task, envs: Mapping[str, str], environment: Environment) -> list[str]:
    """List the variables that the task declares and that would have no value, and unresolved placeholders.

    Parameters
    ----------
    task
        The task.
    envs
        Variables that fmon sets.
    environment
        Values for all others.
    """
    found: list[str] = []
    for kind, name, value in task.declared:
        if kind == "envs" and (name in envs or environment.passed.get(name)):
            continue
        if value is None:
            found += [name] if environment.get(name) is None else []
        elif environment.get(name) is None or kind == "envs":
            found += environment.unresolved(str(value))
    return list(dict.fromkeys(found))


def _passed(body: Mapping[str, Any], environment: Environment) -> dict[str, str]:
    """Return what ``--env-file`` sets: no secret, and nothing empty where the task asks for a value."""
    declared, secrets = body.get("envs") or {}, body.get("secrets") or {}
    return {
        name: value
        for name, value in environment.passed.items()
        if name not in secrets and (value or not is_open(declared.get(name, "")))
    }


def _fill(body: dict[str, Any], envs: Mapping[str, str], environment: Environment) -> None:
    """Set variables that are declared without a value, and placeholders, from the environment."""
    for kind in DECLARED:
        declared: dict[str, Any] = body.get(kind) or {}
        for name, value in declared.items():
            if kind == "envs" and name in envs:
                continue
            if value is None or (kind == "secrets" and environment.passed.get(name)):
                declared[name] = environment.get(name)
            elif isinstance(value, str):
                declared[name] = environment.filled(value)


def _changed(resources: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Override the common part of a task's resources and each of its choices."""
    common = {**resources, **changes}
    for key in CHOICES:
        if isinstance(common.get(key), list):
            common[key] = [
                {name: value for name, value in choice.items() if name not in changes}
                for choice in common[key]
            ]
    return common
