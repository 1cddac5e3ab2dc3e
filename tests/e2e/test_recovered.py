"""A real job that failed, was called ended, and is recovered by hand."""

import json

import pytest

from tests.e2e.early import DYING
from tests.e2e.real_sky import RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

NAME = "dying-killed"
CONFIG = f"""\
experiment_name: recovered
skypilot_yaml: train.yaml
factors: {{name: [{NAME}]}}
job_name: "{{name}}"
"""
TASK = "resources: {infra: slurm/demo, accelerators: 'H100:1'}\nrun: 'true'\n"


def test_a_job_that_is_recovered_by_hand_reopens_its_experiment(realsky: RealSky, early, tmp_path):
    assert NAME in DYING
    realsky.wait([early[NAME]], timeout=600)
    write_config(tmp_path, CONFIG, TASK)
    adopted = realsky.fmon(tmp_path, "adopt", "experiment.yaml")
    assert adopted.returncode == 0, adopted.stderr
    assert state(realsky, tmp_path) == [{"state": "failed", "status": "FAILED"}]

    realsky.resume(early[NAME])
    polled = realsky.fmon(tmp_path, "poll")
    assert f"had ended, but job {early[NAME]} is open: reopened" in polled.stderr, polled.stderr
    alarms = rows(realsky, tmp_path, "select kind from alarm where cleared_at is null")
    assert "reopened" in [alarm["kind"] for alarm in alarms]
    relaunched = realsky.fmon(tmp_path, "relaunch", "--dry-run")
    assert relaunched.returncode == 21, relaunched.stderr
    assert f"{NAME} (job {early[NAME]}, " in relaunched.stderr

    realsky.wait([early[NAME]], timeout=600)
    assert realsky.fmon(tmp_path, "poll").returncode == 0
    assert state(realsky, tmp_path) == [{"state": "failed", "status": "FAILED"}]


def state(sky: RealSky, folder):
    return rows(sky, folder, "select state, status from condition")


def rows(sky: RealSky, folder, query):
    done = sky.fmon(folder, "sql", query, "-o", "json")
    assert done.returncode == 0, done.stderr
    return [
        {name: value for name, value in row.items() if name != "experiment_id"}
        for row in json.loads(done.stdout)
    ]
