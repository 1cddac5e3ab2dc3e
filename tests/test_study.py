"""Each file of an experiment is read once per command; what a Study needs, and only then."""

import json
import os
import subprocess
import sys

import pytest

from fmon.errors import ConfigError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.study import open_study
from tests.support import ROOT
from tests.support.relaunching import Repository
from tests.support.world import CONDITIONS, new_store


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """How often each command opened each file, counted by an audit hook in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.count_reads", str(tmp_path_factory.mktemp("counted"))],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_fix_plan_reads_each_file_once_and_no_task(counted):
    assert counted["reads"]["fix plan"] == {"manifest": 1, "config": 1, "task": 0, "events": 1}


@pytest.mark.slow
def test_fix_verify_reads_each_file_once(counted):
    assert counted["reads"]["fix verify"] == {"manifest": 1, "config": 1, "task": 1, "events": 1}


@pytest.mark.slow
def test_relaunch_reads_each_file_once_and_what_may_change_again_under_the_lock_and_at_the_end(counted):
    assert counted["reads"]["relaunch --yes"] == {"manifest": 3, "config": 1, "task": 1, "events": 3}
    assert counted["relaunched"] == sorted(CONDITIONS[1::2])


@pytest.fixture
def world(tmp_path):
    made = Repository(tmp_path)
    new_store(made.config, made.data)
    return made


def test_manifest_and_events_need_no_config(world):
    world.config.unlink()
    study = open_study(world.data)
    assert (len(study.manifest.jobs), study.events) == (4, [])
    with pytest.raises(ConfigError, match="does not exist"):
        _ = study.experiment


def test_the_config_needs_no_task(world):
    world.task.unlink()
    study = open_study(world.data)
    assert len(study.experiment.conditions) == 4
    with pytest.raises(ConfigError, match=r"the task YAML 'train.yaml' is not in .*project"):
        _ = study.task


def test_a_config_may_have_as_many_conditions_as_were_accepted(world):
    manifest = read_manifest(world.store)
    manifest.max_conditions, manifest.jobs, manifest.expected_job_count = 3, manifest.jobs[:2], 2
    write_manifest(world.store, manifest)
    with pytest.raises(ConfigError, match="more than 3; add --max-conditions 4 to allow them"):
        _ = open_study(world.data).experiment
    manifest.max_conditions = 4
    write_manifest(world.store, manifest)
    assert len(open_study(world.data).experiment.conditions) == 4


def test_a_manifest_without_the_limit_allows_the_conditions_that_it_has(world):
    manifest = read_manifest(world.store)
    manifest.max_conditions = 1
    write_manifest(world.store, manifest)
    assert len(open_study(world.data).experiment.conditions) == 4
