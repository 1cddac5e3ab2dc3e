"""What the manifest has of the views when a phase ends, and when the experiment closes."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

import fmon.monitor.refresh
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor.poll import poll
from fmon.monitor.refresh import refresh
from fmon.monitor.replay import replay
from fmon.sky.reader import LogRequest
from fmon.store.folder import stores
from fmon.warehouse import connect, rows
from tests.support import ROOT
from tests.support.fake_skypilot import FINE, Fate
from tests.support.queues import RUNNING, START, FakeLogs, FakeQueue, ended
from tests.support.reported import mixed_study
from tests.support.studies import at
from tests.support.world import BUG, CONDITIONS, World

LIVE = (
    "status", "start_time", "end_time", "duration_seconds", "cost_usd", "mlflow_run_id",
    "failure_category", "failure_root_cause",
)  # fmt: skip
TEMPLATE = {
    "experiment_id", "config_file", "created_at", "factors", "skypilot_yaml", "docker_image", "docker_digest",
    "max_relaunch_cycles", "current_cycle", "total_estimated_cost", "jobs",
}  # fmt: skip
"""Keys of the study's template; each of its entries has these, LIVE, and a key per factor."""
ENTRY = {"condition", "job_id", "relaunch_batch", *LIVE}
ENDED = [*map(ended, RUNNING[:3]), ended(RUNNING[3], "FAILED")]


def entry(store, number):
    return json.loads(store.manifest.read_text())["jobs"][number]


class Stopped(World):
    """A person presses Ctrl-C while a command waits."""

    def stop(self, seconds):
        raise KeyboardInterrupt

    @property
    def clock(self):
        return replace(self.server.time, sleep=self.stop)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


class TestRefresh:
    def test_fills_every_live_key_and_changes_nothing_else(self, tmp_path):
        store = mixed_study(tmp_path / "data")
        before = json.loads(store.manifest.read_text())
        refresh(store, now=at(30))
        after = json.loads(store.manifest.read_text())
        assert {key: after["jobs"][1][key] for key in LIVE} == {
            "status": "FAILED_SETUP",
            "start_time": "2026-03-22T05:00:00Z",
            "end_time": "2026-03-22T05:10:00Z",
            "duration_seconds": 600.0,
            "cost_usd": 0.2167,
            "mlflow_run_id": None,
            "failure_category": "unknown",
            "failure_root_cause": "unknown/unexamined",
        }
        assert after["as_of"] == "2026-03-22T05:30:00Z"
        assert after["total_cost_usd"] == 1.3001
        for manifest in (before, after):
            del manifest["as_of"], manifest["total_cost_usd"]
            for each in manifest["jobs"]:
                for key in LIVE:
                    del each[key]
        assert before == after

    @pytest.mark.slow
    def test_agrees_with_the_views(self, tmp_path):
        store = mixed_study(tmp_path / "data")
        refresh(store, now=at(30))
        con = connect(tmp_path / "data", now=at(30))
        found = rows(
            con, "select condition_id, job_id, status, run_s from condition order by manifest_position"
        )
        copied = [
            (each.condition, each.job_id, each.status, each.duration_seconds)
            for each in read_manifest(store).jobs
        ]
        assert copied == [tuple(row.values()) for row in found]

    def test_takes_back_what_no_longer_holds(self, tmp_path):
        store = mixed_study(tmp_path / "data")
        manifest = read_manifest(store)
        manifest.jobs[0].failure_category = manifest.jobs[0].failure_root_cause = "cuda_oom"
        write_manifest(store, manifest)
        refresh(store, now=at(30))
        assert entry(store, 0)["failure_category"] is None
        assert entry(store, 0)["failure_root_cause"] is None


class TestPoll:
    @pytest.mark.slow
    def test_that_closes_the_experiment_fills_the_manifest_with_the_causes(self, config, data):
        queue = FakeQueue(RUNNING, ENDED)
        adopt(config, queue, data, now=START)
        (store,) = stores(data)
        assert entry(store, 3)["status"] == "RUNNING"
        poll(data, queue, now=START + timedelta(hours=1), logs=FakeLogs({LogRequest(4): BUG}))
        assert store.is_closed
        found = [entry(store, number) for number in range(4)]
        assert [each["status"] for each in found] == ["SUCCEEDED"] * 3 + ["FAILED"]
        assert [each["failure_category"] for each in found] == [None] * 3 + ["code_bug"]
        assert found[3]["failure_root_cause"].startswith("code_bug/")
        assert None not in {each["end_time"] for each in found}

    @pytest.mark.slow
    def test_that_examines_an_ended_experiment_later_adds_the_cause(self, config, data):
        queue = FakeQueue(RUNNING, ENDED)
        adopt(config, queue, data, now=START)
        poll(data, queue, now=START + timedelta(minutes=1))
        (store,) = stores(data)
        assert entry(store, 3)["failure_root_cause"] == "unknown/unexamined"
        poll(data, queue, now=START + timedelta(hours=1), logs=FakeLogs({LogRequest(4): BUG}))
        assert entry(store, 3)["failure_category"] == "code_bug"

    @pytest.mark.slow
    def test_that_closes_nothing_leaves_the_manifest_alone(self, config, data):
        queue = FakeQueue(RUNNING, [*RUNNING[:3], ended(RUNNING[3], "FAILED")])
        adopt(config, queue, data, now=START)
        before = stores(data)[0].manifest.read_bytes()
        poll(data, queue, now=START + timedelta(hours=1), logs=FakeLogs({LogRequest(4): BUG}))
        assert stores(data)[0].manifest.read_bytes() == before

    @pytest.mark.slow
    def test_killed_before_the_experiment_is_closed_is_completed_later(self, config, data, monkeypatch):
        queue = FakeQueue(RUNNING, ENDED)
        adopt(config, queue, data, now=START)
        (store,) = stores(data)
        with monkeypatch.context() as dying:
            dying.setattr(fmon.monitor.refresh, "write_manifest", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                poll(data, queue, now=START)
        assert not store.is_closed
        poll(data, queue, now=START)
        assert store.is_closed
        assert entry(store, 0)["status"] == "SUCCEEDED"


class TestPhases:
    def test_a_launch(self, world):
        world.launch()
        manifest = json.loads(world.store.manifest.read_text())
        assert manifest.keys() >= TEMPLATE
        assert all(each.keys() >= ENTRY | {"model", "loss"} for each in manifest["jobs"])
        assert manifest["as_of"] is not None
        assert [each["condition"] for each in manifest["jobs"]] == list(CONDITIONS)

    @pytest.mark.slow
    def test_a_diagnosis(self, world):
        world.launch()
        world.end(failed=CONDITIONS[:1], is_examined=False)
        assert entry(world.store, 0)["failure_category"] == "unknown"
        world.diagnose()
        assert entry(world.store, 0)["failure_category"] == "code_bug"

    @pytest.mark.slow
    def test_a_watch_that_ends_with_conditions_missing(self, world):
        world.fate = lambda job: Fate(makes="refusal") if job.job_name.startswith("dynunet") else FINE
        world.launch()
        world.end()
        assert entry(world.store, 2)["status"] is None
        assert world.type("watch", "--data", world.data).exit_code == 0
        assert not world.store.is_closed
        assert [entry(world.store, number)["status"] for number in (0, 2)] == [None, "SUCCEEDED"]

    @pytest.mark.slow
    def test_a_watch_that_a_person_stops(self, tmp_path):
        world = Stopped(tmp_path)
        world.launch()
        for job in world.open_jobs():
            job.update(status="RUNNING", start_at=world.server.clock().timestamp())
        assert world.type("watch", "--data", world.data).exit_code == 130
        assert entry(world.store, 0)["status"] == "RUNNING"

    @pytest.mark.slow
    def test_a_cancellation(self, world):
        world.launch()
        done = world.type("cancel", CONDITIONS[0], "--yes", "--data", world.data)
        assert done.exit_code == 0, done.output
        assert entry(world.store, 0)["status"] == "CANCELLED"

    @pytest.mark.slow
    def test_a_replay(self, tmp_path):
        replayed = replay(ROOT / "data/demo", tmp_path)
        store = stores(tmp_path)[0]
        manifest = read_manifest(store)
        assert manifest.experiment_id == replayed.experiment_id
        assert all(each.status for each in manifest.jobs if each.job_id is not None)
        failed = [each for each in manifest.jobs if each.failure_category]
        assert failed
        assert all(each.failure_root_cause.startswith(each.failure_category) for each in failed)
        written = store.manifest.read_bytes()
        replay(ROOT / "data/demo", tmp_path)
        assert store.manifest.read_bytes() == written
