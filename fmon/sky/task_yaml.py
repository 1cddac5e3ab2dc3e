"""Let SkyPilot check a job's task YAML as its client and its server do before they accept the job."""

from __future__ import annotations

from typing import Any


def count_tasks(task_yaml: str) -> int:
    """Check a task YAML, and return its number of tasks; any error of SkyPilot is raised.

    Parameters
    ----------
    task_yaml
        The YAML of a job. A variable without a value gets a dummy one, and the name of the job is not
        checked: fmon has checks of its own for these, over all jobs.
    """
    from sky.utils import dag_utils, yaml_utils

    documents = [_with_values(each) for each in yaml_utils.read_yaml_all_str(task_yaml)]
    dag: Any = dag_utils.load_chain_dag_from_yaml_str(yaml_utils.dump_yaml_str(documents))
    for task in dag.tasks:
        task.expand_and_validate_workdir()
        task.expand_and_validate_file_mounts()
        for resources in task.resources:
            # The part of Resources.validate that needs neither a catalog nor a server.
            if resources.cloud is not None:
                resources._try_validate_labels()
    if len(dag.tasks) > 1:
        _check_names(dag.tasks)
    return len(dag.tasks)


def _check_names(tasks: list[Any]) -> None:
    """Check the names that the tasks of a pipeline have in its YAML; clusters are named after them."""
    from sky.jobs.utils import generate_managed_job_cluster_name
    from sky.utils import common_utils

    names = [task.name for task in tasks if task.name is not None]
    for task in tasks:
        task.validate_name()
    for name in names:
        common_utils.check_cluster_name_is_valid(generate_managed_job_cluster_name(name, 1))
    if len(set(names)) < len(names):
        message = f"two tasks have the same name: {', '.join(names)}"
        raise ValueError(message)


def _with_values(document: Any) -> Any:
    """Give every variable without a value one."""
    if isinstance(document, dict) and isinstance(envs := document.get("envs"), dict):
        return {**document, "envs": {name: "-" if value is None else value for name, value in envs.items()}}
    return document
