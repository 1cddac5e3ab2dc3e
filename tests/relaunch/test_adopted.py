"""Jobs that somebody else launched: a proposed config, adopted, and what failed runs again."""

import json

import pytest
import yaml

from fmon.clients.shell import Ran
from fmon.errors import RegistryError
from fmon.fix.steps import run_commands
from fmon.manifest.file import read_manifest
from fmon.sky.reader import LogRequest
from tests.support.fake_skypilot import FakeSubmitter
from tests.support.git import commit
from tests.support.relaunching import NEW, OLD, OUTAGE, Repository
from tests.support.world import CONDITIONS

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


def run(world, *words):
    return world.type(*words, "--data", world.data)


@pytest.mark.slow
def test_where_the_registry_was_silent_the_first_fix_verify_that_reaches_it_records_the_digest(world):
    world.digest = RegistryError("registry.example can't be reached")
    assert "records it" in adopt(world).stderr
    commit(world.project, "Add the config", at=world.server.clock())
    fail(world, 4)
    world.poll()
    world.diagnose()
    silent = run(world, "fix", "verify")
    assert silent.exception.exit_code == 23
    assert "registry.example can't be reached" in silent.stdout
    assert read_manifest(world.store).docker_digest is None
    world.digest = OLD
    refused = run(world, "relaunch", "--yes")
    assert "fmon fix verify records that" in refused.exception.details[0]
    verified = run(world, "fix", "verify")
    assert verified.exit_code == 0, verified.output
    words = "assumed at the first fix verify that reached the registry"
    assert f"{IMAGE} is recorded and unchanged: {OLD}, {words}" in " ".join(verified.stdout.split())
    assert read_manifest(world.store).docker_digest_source == "assumed_at_fix"
    assert run(world, "relaunch", "--yes").exit_code == 0
    assert world.launched(1) == ["sam3-1"]
    assert read_manifest(world.store).docker_digest_source == "launch"
    assert "image was assumed at fix verify at 2026-03-22T" in run(world, "audit").stdout


@pytest.mark.slow
def test_before_fix_run_pushes_what_failed_is_recorded(world):
    world.digest = RegistryError("registry.example can't be reached")
    adopt(world)
    with world.config.open("a") as config:
        config.write("verify: {push: make image}\n")
    commit(world.project, "Add the config", at=world.server.clock())
    fail(world, 4)
    world.poll()
    world.diagnose()
    world.digest = OLD
    study = world.study
    for _ in run_commands(study, clock=world.clock, run=pushing(world), ask=world.digest_of):
        pass
    assert read_manifest(world.store).docker_digest == OLD
    assert world.digest == NEW


def pushing(world):
    """Return what runs a command that pushes a new image."""

    def run_command(step, command, *, folder):
        world.digest = NEW
        return Ran(step, command, 0, 1.0)

    return run_command


@pytest.mark.slow
def test_a_person_can_allow_adopted_jobs_on_bare_vms(tmp_path):
    world = Repository(tmp_path, task="resources: {accelerators: L4}\nrun: python train.py $MODEL $LOSS\n")
    world.config.write_text(world.config.read_text().replace("docker_image: registry.example/study:v1\n", ""))
    for name in CONDITIONS:
        world.server.add(name)
    commit(world.project, "Name no image", at=world.server.clock())
    assert run(world, "adopt", world.config).exit_code == 0
    fail(world, 4)
    world.poll()
    world.diagnose()
    refused = run(world, "fix", "verify")
    assert refused.exception.exit_code == 23
    assert "fmon adopt CONFIG --allow-bare-vm" in " ".join(refused.stdout.split())
    allowed = run(world, "adopt", world.config, "--allow-bare-vm", "--by", "ada")
    assert allowed.exit_code == 0, allowed.output
    assert run(world, "fix", "verify").exit_code == 0
    assert run(world, "relaunch", "--yes").exit_code == 0
    assert world.launched(1) == [CONDITIONS[3]]
    assert "on a bare VM, allowed at adoption by ada at 2026-03-22T" in run(world, "audit").stdout
