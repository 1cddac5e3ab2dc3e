"""Queue records with what SkyPilot recorded at submission: the task YAML and the command line."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tests.study.launcher_rules import FILES, GOLDEN, TASK
from tests.support.queues import job

TRAIN = {
    "resources": {"image_id": "docker:registry.example/train:1", "accelerators": "L4"},
    "run": "python train.py",
}


def recorded(
    job_id: int,
    name: str,
    envs: Mapping[str, str],
    *,
    task: Mapping[str, Any] = TRAIN,
    status: str = "RUNNING",
    minutes: float | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Make the record of a job whose task YAML has these variables; submitted one a minute."""
    record = job(job_id, name, status, minutes=job_id if minutes is None else minutes)
    record["user_yaml"] = yaml.safe_dump({"name": name, **task, "envs": dict(envs)})
    return {**record, "entrypoint": "/usr/bin/sky jobs launch -y train.yaml", **fields}


def study_jobs(config: str, first_id: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Make the jobs that the study's launcher submits for a config: variables on the command line."""
    jobs = []
    task = yaml.safe_load(TASK.read_text())
    for number, condition in enumerate(json.loads((GOLDEN / f"{config}.json").read_text()), start=first_id):
        envs = [word for pair in condition["envs"].items() for word in ("--env", "=".join(pair))]
        words = ["sky", "jobs", "launch", "-y", "-n", condition["job_name"], "--env-file", ".env", *envs]
        record = job(number, condition["job_name"], minutes=number)
        resources = {**task["resources"], **condition["resources"]}
        record["user_yaml"] = yaml.safe_dump({**task, "resources": resources}, sort_keys=False)
        record["entrypoint"] = shlex.join([*words, "deployment/skypilot/train_factorial.yaml"])
        jobs.append({**record, **fields})
    return jobs


DEBUG = FILES / "configs/factorial/debug.yaml"
DEPRECATED = FILES / "configs/experiment/debug_factorial.yaml"
"""The two configs of the study with the same 34 names."""
