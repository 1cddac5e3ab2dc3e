"""Jobs on a real SkyPilot that die of known causes, diagnosed from the logs it returns."""

import json
import time

import pytest

from tests.e2e.early import DYING
from tests.e2e.real_sky import RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

CONFIG = """\
experiment_name: dying
skypilot_yaml: train.yaml
factors: {fault: [oom, setup, file, killed, silent]}
job_name: "dying-{fault}"
"""
CATEGORIES = {
    "oom": "cuda_oom", "setup": "import_error", "file": "data_missing", "killed": "host_oom"
}  # fmt: skip
LIMIT_S = 900


@pytest.fixture(scope="module")
def failures(
    realsky: RealSky, early: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("dying")
    write_config(
        folder, CONFIG, "resources: {infra: slurm/demo, cpus: 1+, accelerators: 'H100:1'}\nrun: 'true'\n"
    )
    realsky.wait([early[name] for name in DYING], timeout=LIMIT_S)

    def fmon(*arguments: str) -> str:
        done = realsky.fmon(folder, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    fmon("adopt", "experiment.yaml")
    until = time.monotonic() + LIMIT_S
    found: list[dict] = []
    # A log that a busy server did not give in time is asked for again by a later poll.
    while len(found) < len(DYING) or any(row["log_state"] != "stored" for row in found):
        assert time.monotonic() < until, found
        fmon("poll")
        found = json.loads(fmon("sql", "select * from failure", "-o", "json"))
    return {row["condition_id"]: row | {"log": fmon("logs", row["condition_id"])} for row in found}


@pytest.mark.parametrize("fault", CATEGORIES)
def test_the_root_cause_is_found_in_the_log_that_skypilot_returns(failures, fault):
    assert failures[fault]["category"] == CATEGORIES[fault]
    assert failures[fault]["log_state"] == "stored"


def test_the_evidence_is_a_line_of_the_stored_log(failures):
    row = failures["oom"]
    lines = row["log"].split("\n")
    assert row["evidence"].startswith("torch.OutOfMemoryError")
    assert row["evidence"] in lines[row["evidence_line"] - 1]


def test_an_error_that_an_earlier_task_caught_is_not_the_cause_of_a_silent_failure(failures):
    row = failures["silent"]
    assert (row["task_id"], row["log_state"]) == (1, "stored")
    assert "cache.json" not in str(row["evidence"])
    assert row["category"] != "data_missing"


def test_the_log_of_a_task_that_fails_in_silence_is_its_part_of_the_controllers(failures):
    log = failures["silent"]["log"]
    assert "Starting task 1 (train)" in log
    assert "Task 1 failed with status" in log
    assert "cache.json" not in log
    assert "Starting task 0" not in log
