"""Each file of an experiment is read once per command; what a Study needs, and only then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmon.errors import ConfigError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.study import open_study
from tests.support import ROOT
from tests.support.relaunching import Repository
from tests.support.world import CONDITIONS, new_store, write_config


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
def test_relaunch_reads_each_file_once_and_what_may_change_after_its_poll_under_the_lock_and_at_the_end(
    counted,
):
    """The manifest: before the poll, in it, after it, under the lock, and at the end."""
    assert counted["reads"]["relaunch --yes"] == {"manifest": 5, "config": 1, "task": 1, "events": 3}
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


class TestConfigPath:
    """The config is found from every folder, as it was when the experiment was created."""

    @pytest.fixture
    def project(self, tmp_path, monkeypatch):
        config = write_config(tmp_path / "project" / "configs")
        monkeypatch.chdir(tmp_path / "project")
        return config

    @pytest.mark.parametrize("given", ["configs/experiment.yaml", "../project/configs/experiment.yaml"])
    def test_a_relative_path_is_stored_as_an_absolute_one(self, project, tmp_path, monkeypatch, given):
        new_store(Path(given), tmp_path / "data")
        monkeypatch.chdir(tmp_path)
        study = open_study(tmp_path / "data")
        assert study.manifest.config_file == str(project)
        assert study.experiment.skypilot_yaml == "train.yaml"
        assert study.task.path == project.parent / "train.yaml"

    def test_a_link_stays_a_link_with_the_task_beside_it(self, project, tmp_path, monkeypatch):
        link = tmp_path / "project" / "current.yaml"
        link.symlink_to(project)
        (tmp_path / "project" / "train.yaml").write_text("run: echo linked\n")
        new_store(Path("current.yaml"), tmp_path / "data")
        monkeypatch.chdir(tmp_path)
        study = open_study(tmp_path / "data")
        assert study.manifest.config_file == str(link)
        assert study.task.text == "run: echo linked\n"

    def test_a_relative_path_of_an_earlier_version_is_relative_to_the_current_folder(self, project, tmp_path):
        store = new_store(project, tmp_path / "data")
        manifest = read_manifest(store)
        manifest.config_file = "configs/experiment.yaml"
        write_manifest(store, manifest)
        assert len(open_study(tmp_path / "data").experiment.conditions) == 4
