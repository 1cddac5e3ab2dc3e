"""fmon launch on a real SkyPilot, killed twice in the middle: one job per condition, metadata included.

One story, told once: killed while the server works on a launch that it has taken; killed again right behind
an intent, before anything was sent; then two at once. Each test asks one thing about what came of it.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.real_sky import FMON, RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

CONFIG = """\
experiment_name: launched
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2]}
fixed: {EPOCHS: 2}
overrides:
  model: {sam3: {envs: {BATCH: 1}, resources: {cpus: 2+}}}
  fold: {2: {resources: {accelerators: 'H100:16'}}}
prices: {H100: {on_demand: 2.5}}
job_name: "launched-{model}-f{fold}"
"""
# More accelerators than there are: a job ends at once, and starting one takes a CPU for half a minute.
# The jobs of fold 2 ask for all that there are and stay open until they are cancelled: a launch after all
# jobs have ended would create another experiment.
TASK = """\
resources: {infra: slurm/demo, cpus: 1+, accelerators: 'H100:99'}
envs: {MODEL: null, FOLD: null}
run: echo "$MODEL $FOLD $EPOCHS" && sleep 3600
"""
CONDITIONS = {f"{model}-{fold}" for model in ("dynunet", "sam3") for fold in (0, 1, 2)}
STORE_LOCKED = 14
LIMIT_S = 400


@dataclass
class Story:
    """What happened, for the tests."""

    folder: Path
    refused: subprocess.CompletedProcess[str]
    last: subprocess.CompletedProcess[str]
    plan: subprocess.CompletedProcess[str]
    queue: list[dict[str, Any]]
    taken_at_kill: int
    checks: list[dict[str, Any]]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in events(self.folder) if event["event"] == kind]

    @property
    def manifest(self) -> dict[str, Any]:
        (path,) = self.folder.glob("data/*/manifest.json")
        return json.loads(path.read_text())


def events(folder: Path) -> list[dict[str, Any]]:
    """Read the audit as far as it is written."""
    lines = [line for path in folder.glob("data/*/events.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def intents(folder: Path) -> int:
    return sum(event["event"] == "launch_intent" for event in events(folder))


@pytest.fixture(scope="module")
def story(realsky: RealSky, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("launched")
    write_config(folder, CONFIG, TASK)
    command = [FMON, "launch", "experiment.yaml", "--yes", "--allow-bare-vm"]
    env, began = realsky.env, time.time()

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill_when(is_due: Any) -> None:
        with start() as process:
            until = time.monotonic() + LIMIT_S
            while not is_due():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)

    kill_when(lambda: intents(folder) > 1 and launches(realsky))
    taken = len(launches(realsky))
    before = intents(folder)
    kill_when(lambda: intents(folder) > before)
    written = len(events(folder))
    with start() as process:
        until = time.monotonic() + LIMIT_S
        while len(events(folder)) == written:  # it holds the lock once it writes
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)
        refused = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S
        )
        out, err = process.communicate(timeout=LIMIT_S)
    last = subprocess.CompletedProcess(command, process.returncode, out, err)
    plan = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S)
    queue = [  # a job that has just been accepted has no time of submission yet
        record
        for record in realsky.queue()
        if record["job_name"].startswith("launched-") and (record["submitted_at"] or began) >= began
    ]
    yield Story(folder, refused, last, plan, queue, taken, checked(realsky, folder))
    realsky.cancel(*(record["job_id"] for record in queue if record["job_name"].endswith("-f2")))


def checked(sky: RealSky, folder: Path) -> list[dict[str, Any]]:
    """Poll until the variables of all jobs are compared; give the comparisons."""
    until = time.monotonic() + LIMIT_S
    while not list(folder.glob("data/*/variables.parquet")) or list(folder.glob("data/*/unchecked")):
        assert time.monotonic() < until
        done = sky.fmon(folder, "poll")
        assert done.returncode == 0, done.stderr
    done = sky.fmon(folder, "sql", "select job_id, wrong_names from variable_check", "-o", "json")
    return json.loads(done.stdout)


def launches(sky: RealSky) -> list[Any]:
    """List the launches that the server works on, as it says itself."""
    import urllib.request

    with urllib.request.urlopen(f"{sky.endpoint}/api/status", timeout=10) as answer:
        return [each for each in json.load(answer) if each["name"] == "sky.jobs.launch"]


def test_every_condition_has_exactly_one_job(story):
    assert Counter(record["job_name"] for record in story.queue) == {
        f"launched-{condition.replace('-', '-f')}": 1 for condition in CONDITIONS
    }


def test_it_was_killed_while_the_server_worked_on_launches_that_it_had_taken(story):
    assert story.taken_at_kill > 0
    unheard = {event["attempt_key"] for event in story.events("launch_intent")} - {
        event["attempt_key"] for event in story.events("launch_result")
    }
    assert len(unheard) > 1


def test_the_metadata_of_each_job_says_which_attempt_it_is(story):
    tags = {record["metadata"]["fmon"]["condition"]: record["metadata"]["fmon"] for record in story.queue}
    assert set(tags) == CONDITIONS
    assert {tag["experiment"] for tag in tags.values()} == {story.manifest["experiment_id"]}
    assert {tag["cycle"] for tag in tags.values()} == {0}


def test_the_manifest_names_the_jobs_of_the_queue(story):
    assert {entry["condition"]: entry["job_id"] for entry in story.manifest["jobs"]} == {
        record["metadata"]["fmon"]["condition"]: record["job_id"] for record in story.queue
    }


def test_the_third_run_finished_and_a_fourth_has_nothing_to_do(story):
    assert story.last.returncode == 0, story.last.stderr
    assert story.last.stdout.strip() == story.manifest["experiment_id"]
    assert "6 of 6 conditions have a job" in story.last.stderr
    assert story.plan.returncode == 0, story.plan.stderr
    assert "nothing to do" in story.plan.stderr


def test_a_second_launcher_at_once_is_refused_in_one_sentence(story):
    assert story.refused.returncode == STORE_LOCKED
    assert "another fmon is launching jobs of launched" in story.refused.stderr
    assert "Traceback" not in story.refused.stderr


def test_the_variables_of_the_condition_reach_the_job(realsky, story):
    told = {record["job_name"]: record["user_yaml"] for record in story.queue}
    for line in ("MODEL: sam3", "FOLD: '1'", "EPOCHS: '2'", "BATCH: '1'", "cpus: 2+"):
        assert line in told["launched-sam3-f1"]
    assert "BATCH" not in told["launched-dynunet-f1"]


def test_what_skypilot_recorded_of_each_job_has_the_variables_of_its_condition(story):
    assert {check["job_id"]: check["wrong_names"] for check in story.checks} == {
        record["job_id"]: [] for record in story.queue
    }
