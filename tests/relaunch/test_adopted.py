"""Jobs that somebody else launched: a proposed config, adopted, and what failed runs again."""

import json

import pytest
import yaml

from fmon.manifest.file import read_manifest
from fmon.sky.reader import LogRequest
from tests.support.fake_skypilot import FakeSubmitter
from tests.support.git import commit
from tests.support.relaunching import OLD, OUTAGE, Repository

IMAGE = "registry.example/study:v1"
TASK = f"""\
resources: {{image_id: 'docker:{IMAGE}', accelerators: L4}}
envs: {{MODEL_FAMILY: dynunet, FOLD_ID: "0", BATCH_SIZE: "2", MAX_EPOCHS: "2"}}
run: python train.py
"""
CELLS = [(model, fold) for model in ("dynunet", "sam3") for fold in ("0", "1")]


@pytest.fixture
def world(tmp_path):
    """Four jobs that a script launched with the study's task, and no config."""
    world = Repository(tmp_path, task=TASK)
    world.config.unlink()
    for model, fold in CELLS:
        job_id = world.server.add(f"{model}-f{fold}")
        world.server.user_yamls[job_id] = TASK
        batch = "1" if model == "sam3" else "2"
        envs = f"--env MODEL_FAMILY={model} --env FOLD_ID={fold} --env BATCH_SIZE={batch}"
        world.server.entrypoints[job_id] = f"sky jobs launch -y {envs} train.yaml"
        world.server.pass_time(60)
    return world


def adopt(world):
    """Do what the documentation says: fmon init > experiment.yaml && fmon adopt experiment.yaml."""
    proposed = world.type("init", env={"SKYPILOT_USER_ID": "aaaa1111"})
    assert proposed.exit_code == 0
    world.config.write_text(proposed.stdout)
    return world.type("adopt", world.config, "--data", world.data)


def fail(world, job_id):
    at = world.server.clock().timestamp()
    for job in world.server.jobs:
        status = "FAILED" if job["job_id"] == job_id else "SUCCEEDED"
        job.update(status=status, start_at=at, end_at=at + 600, job_duration=600)
    world.server.pass_time(660)
    world.logs.texts[LogRequest(job_id)] = OUTAGE


@pytest.mark.slow
def test_what_failed_runs_again_with_the_variables_that_were_recorded(world):
    adopted = adopt(world)
    assert adopted.exit_code == 0, adopted.exception
    assert f"{IMAGE} is now {OLD}; recorded as the image of the adopted jobs" in adopted.stderr
    assert read_manifest(world.store).docker_digest == OLD
    commit(world.project, "Add the config", at=world.server.clock())
    fail(world, 4)
    world.poll()
    world.diagnose()
    submitter = FakeSubmitter(world.server, world.fate)
    done = world.relaunch(submitter=submitter)
    assert [job.condition_id for job in done.plan.jobs] == ["sam3-1"]
    (submission,) = submitter.submitted
    envs = yaml.safe_load(submission.task_yaml)["envs"]
    assert submission.job_name == "sam3-f1"
    assert {name: value for name, value in envs.items() if not name.startswith("FMON_")} == {
        "MODEL_FAMILY": "sam3",
        "FOLD_ID": "1",
        "BATCH_SIZE": "1",
        "MAX_EPOCHS": "2",
    }


@pytest.mark.slow
def test_a_folder_without_the_task_is_enough_to_adopt(world):
    world.task.unlink()
    adopted = adopt(world)
    assert adopted.exit_code == 0, adopted.exception
    assert "4 of 4 conditions have a job" in adopted.stderr
    assert "train.yaml does not exist; fmon relaunch needs it" in adopted.stderr
    assert json.loads(world.store.manifest.read_text())["docker_image"] == IMAGE
