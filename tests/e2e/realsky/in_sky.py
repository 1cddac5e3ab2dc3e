"""Runs inside the real SkyPilot's own venv: SDK calls for the tests, JSON in, JSON out on the last line.

in_sky.py launch < tasks.json      [<task as in a task YAML>, ...] -> [[job_id, ...], ...]; the tasks of a
                                   pipeline are in its ``tasks``
in_sky.py queue                    -> every record with all its fields
in_sky.py cost                     -> SkyPilot's cost report, one row a cluster
in_sky.py resume < job_id          an ended job runs again
"""

import json
import sys
from typing import Any

import sky
import yaml
from sky.utils import dag_utils


def launch(tasks: list[dict[str, Any]]) -> list[list[int]]:
    """Submit all at once, then wait for their ids."""
    names = [task["name"] for task in tasks]  # read first: from_yaml_config empties what it is given
    requests = [sky.jobs.launch(job_of(task), name=name) for task, name in zip(tasks, names, strict=True)]
    return [sky.get(request)[0] for request in requests]


def job_of(task: dict[str, Any]) -> Any:
    """Make a task, or a pipeline of tasks that run one after another."""
    if "tasks" not in task:
        return sky.Task.from_yaml_config(task)
    tasks = [{"resources": task["resources"], **each} for each in task["tasks"]]
    return dag_utils.load_chain_dag_from_yaml_str(yaml.safe_dump_all([{"name": task["name"]}, *tasks]))


def queue() -> list[dict[str, Any]]:
    """Read the queue as SkyPilot's SDK gives it."""
    records = sky.get(sky.jobs.queue_v2(refresh=False, all_users=True, fields=None))[0]
    return [record.model_dump(mode="json") for record in records]


def cost() -> list[dict[str, Any]]:
    """Read SkyPilot's own costs."""
    names = ("name", "total_cost", "duration", "num_nodes")
    return [{name: row.get(name) for name in names} for row in sky.get(sky.cost_report())]


def resume(job_id: int) -> bool:
    """Let an ended job run again, as an administrator does: reopen its task as one whose controller died.

    Its controller is then started anew, and recovers it under its old submission. From PENDING it would be
    submitted anew.
    """
    import sqlalchemy
    from sky.jobs import state
    from sqlalchemy import orm

    reopened = {"status": "RECOVERING", "end_at": None, "failure_reason": None}
    with orm.Session(state._db_manager.get_engine()) as session:
        task = sqlalchemy.update(state.spot_table).where(state.spot_table.c.spot_job_id == job_id)
        session.execute(task.values(reopened))
        session.commit()
    state.reset_job_for_recovery(job_id)
    return True


def main() -> None:
    """Do what the first argument says; SkyPilot prints to stdout too, so the answer is the last line."""
    if sys.argv[1] == "launch":
        answer: Any = launch(json.load(sys.stdin))
    elif sys.argv[1] == "resume":
        answer = resume(json.load(sys.stdin))
    else:
        answer = {"queue": queue, "cost": cost}[sys.argv[1]]()
    print(json.dumps(answer, default=str))


main()
