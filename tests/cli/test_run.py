"""fmon run as one call of a parent batch: from the config to the JSON object, on the fake SkyPilot."""

import json
from collections import Counter

import pytest

from fmon.errors import ConfigError
from fmon.manifest.file import read_manifest
from tests.support.batch import Batch
from tests.support.death import Killed
from tests.support.fake_skypilot import FINE
from tests.support.launching import CONFIG, TASK
from tests.support.queues import NAMES

pytestmark = pytest.mark.slow


@pytest.fixture
def batch(tmp_path, monkeypatch):
    made = Batch(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def told(done):
    """Read stdout, which must be one JSON object and nothing else."""
    return json.loads(done.stdout)


def jobs_by_name(batch):
    return Counter(job["job_name"] for job in batch.server.jobs)


def test_all_succeeded_is_0_and_one_json_object(batch):
    done = batch.run()
    assert done.exit_code == 0, done.output
    said = told(done)
    assert said["experiment_id"] == batch.stores[-1].experiment_id
    summary = said["experiment_summary"]
    assert (summary["condition_count"], summary["succeeded"], said["causes"]) == (4, 4, [])
    assert (batch.root / said["jsonl"]).exists()
    assert (batch.root / said["html"]).exists()


def test_the_limit_on_conditions_can_be_set_and_is_stored(batch):
    refused = batch.run("--max-conditions", "3").exception
    assert isinstance(refused, ConfigError)
    assert "add --max-conditions 4 to allow them" in str(refused)
    assert batch.run("--max-conditions", "200000").exit_code == 0
    assert read_manifest(batch.stores[-1]).max_conditions == 200_000


def test_some_failed_is_4_with_the_cause_and_nothing_is_fixed_or_relaunched(batch):
    batch.failing = set(NAMES[2:])
    done = batch.run()
    assert done.exit_code == 4, done.output
    said = told(done)
    assert (said["experiment_summary"]["succeeded"], said["experiment_summary"]["failed"]) == (2, 2)
    (cause,) = said["causes"]
    assert cause["root_cause_id"].startswith("code_bug/")
    assert len(cause["affected_jobs"]) == 2
    (diagnosis,) = batch.events_of("diagnosis")
    assert not diagnosis["is_preliminary"]
    assert batch.events_of("relaunch") == batch.events_of("fix_verified") == []
    assert jobs_by_name(batch) == dict.fromkeys(NAMES, 1)


def test_the_kill_switch_cancels_and_the_rest_is_reported(batch):
    config = CONFIG.replace("[dice_ce, dice_ce_cldice]", "[a, b, c, d]") + "kill_switch: act\n"
    batch.write(config)
    batch.failing, batch.slow = {f"sam3-{loss}" for loss in "abc"}, {"sam3-d"}
    done = batch.run()
    assert done.exit_code == 4, done.output
    outcome = told(done)["experiment_summary"]
    assert (outcome["succeeded"], outcome["failed"], outcome["cancelled"]) == (4, 3, 1)
    (event,) = batch.events_of("cancel")
    assert (event["reason"], len(event["job_ids"])) == ("kill_switch", 1)


@pytest.mark.parametrize(
    ("config", "task", "sentence"),
    [
        (CONFIG, "run: python train.py $MODEL $LOSS\n", "--allow-bare-vm"),
        (CONFIG + "limits: {budget_usd: 1}\n", TASK, "--over-budget"),
        (CONFIG + "limits: {accelerators: [H100]}\n", TASK, "limits.accelerators"),
    ],
)
def test_a_gate_refuses_before_anything_is_launched_and_stdout_stays_empty(batch, config, task, sentence):
    batch.write(config, task)
    done = batch.run()
    assert isinstance(done.exception, ConfigError)
    assert sentence in str(done.exception)
    assert (done.stdout, batch.stores, batch.server.jobs) == ("", [], [])


def test_a_person_can_allow_a_bare_vm_and_the_audit_says_so(batch):
    batch.write(task="resources: {accelerators: L4}\nrun: python train.py $MODEL $LOSS\n")
    assert batch.run("--allow-bare-vm").exit_code == 0
    (event,) = batch.events_of("launch")
    assert (event["is_bare_vm"], event["image"]) == (True, None)


def test_killed_while_launching_it_resumes_and_no_job_exists_twice(batch):
    sent = []

    def fate(submission):
        sent.append(submission)
        if len(sent) == 3:
            raise Killed
        return FINE

    batch.fate = fate
    with pytest.raises(Killed):
        batch.run()
    batch.fate = lambda submission: FINE
    batch.server.pass_time(30)
    done = batch.run()
    assert done.exit_code == 0, done.output
    assert len(batch.stores) == 1
    assert jobs_by_name(batch) == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("dies_at", [1, 2])
def test_killed_while_watching_it_resumes_and_no_job_exists_twice(batch, dies_at):
    batch.dies_at = dies_at
    with pytest.raises(Killed):
        batch.run()
    batch.dies_at = None
    done = batch.run()
    assert done.exit_code == 0, done.output
    assert told(done)["experiment_id"] == batch.stores[0].experiment_id
    assert len(batch.stores) == 1
    assert jobs_by_name(batch) == dict.fromkeys(NAMES, 1)
