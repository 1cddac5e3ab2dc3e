"""Recordings: replayed through the code of a live poll, twice without a difference."""

import json

import pytest

import fmon.monitor.replay
from fmon.errors import ConfigError
from fmon.monitor.poll import poll
from fmon.monitor.replay import replay
from fmon.store.folder import stores
from tests.support.queries import select
from tests.support.queues import NAMES, START, FakeQueue, job
from tests.support.world import World, write_config


def line(minute, jobs=None, error=None):
    at = f"2026-03-22T05:{minute:02}:00Z"
    return json.dumps({"polled_at": at, "jobs": jobs} if error is None else {"polled_at": at, "error": error})


@pytest.fixture
def recording(tmp_path):
    folder = tmp_path / "recording"
    write_config(folder)
    running = [job(number, name, start_at=START.timestamp()) for number, name in enumerate(NAMES, start=1)]
    done = [{**record, "status": "SUCCEEDED", "end_at": START.timestamp() + 120} for record in running]
    lines = [
        line(0, running[:2]),
        line(1, error="ApiServerConnectionError: down"),
        line(2, running),
        line(3, done),
    ]
    (folder / "queue.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def everything(data):
    """Read all polls and job rows."""
    return select(data, "select * from poll order by all") + select(data, "select * from job order by all")


def test_a_replay_makes_the_experiment_with_the_recorded_clock(recording, tmp_path):
    replayed = replay(recording, tmp_path / "data")
    assert replayed.experiment_id == "small-20260322T050000Z"
    assert select(tmp_path / "data", "select state, count(*)::bigint as n from condition group by all") == [
        {"state": "succeeded", "n": 4}
    ]
    assert [row["is_ok"] for row in select(tmp_path / "data", "select is_ok from poll order by poll_id")] == [
        True,
        False,
        True,
        True,
    ]
    assert (
        str(select(tmp_path / "data", "select now_at from experiment")[0]["now_at"])
        == "2026-03-22 05:03:00+00:00"
    )


@pytest.mark.slow
def test_replaying_again_adds_nothing(recording, tmp_path):
    replay(recording, tmp_path / "data")
    before = everything(tmp_path / "data")
    assert replay(recording, tmp_path / "data").new_count == 0
    assert everything(tmp_path / "data") == before


@pytest.mark.slow
def test_a_replay_cut_short_is_carried_on(recording, tmp_path):
    lines = (recording / "queue.jsonl").read_text()
    (recording / "queue.jsonl").write_text("\n".join(lines.splitlines()[:2]) + "\n")
    replay(recording, tmp_path / "data")
    (recording / "queue.jsonl").write_text(lines)
    assert replay(recording, tmp_path / "data").new_count == 2
    replay(recording, tmp_path / "whole")
    assert everything(tmp_path / "data") == everything(tmp_path / "whole")


def test_a_replayed_experiment_is_closed_to_live_polls(recording, tmp_path):
    replay(recording, tmp_path / "data")
    assert [store.is_closed for store in stores(tmp_path / "data")] == [True]


def test_a_live_poll_adds_nothing_to_a_replay_that_was_killed(recording, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fmon.monitor.replay, "refresh", killed)
    with pytest.raises(KeyboardInterrupt):
        replay(recording, tmp_path / "data")
    queue = FakeQueue([job(9, NAMES[0])])
    assert poll(tmp_path / "data", queue, now=START).observed == []
    assert queue.read_count == 0


def test_a_watch_of_a_replay_with_open_jobs_ends_with_a_sentence(recording, tmp_path):
    lines = (recording / "queue.jsonl").read_text()
    (recording / "queue.jsonl").write_text(lines.splitlines()[0] + "\n")
    replay(recording, tmp_path / "data")
    done = World(tmp_path / "world").type("watch", "--exit-status", "--data", tmp_path / "data")
    assert done.exit_code == 3
    assert "a replay, so its jobs are not in the queue; fmon status shows how it ended" in done.stderr


def test_a_torn_last_line_is_left_out(recording, tmp_path):
    with (recording / "queue.jsonl").open("a") as file:
        file.write('{"polled_at": "2026-03-22T05:04')
    assert replay(recording, tmp_path / "data").poll_count == 4


@pytest.mark.parametrize("broken", ["not json\n", "[]\n", '{"jobs": []}\n', '{"polled_at": 7, "jobs": []}\n'])
def test_a_line_that_is_no_poll_is_named(recording, tmp_path, broken):
    with (recording / "queue.jsonl").open("a") as file:
        file.write(broken + line(9, []) + "\n")
    with pytest.raises(ConfigError, match="line 5"):
        replay(recording, tmp_path / "data")


@pytest.mark.parametrize("missing", ["experiment.yaml", "queue.jsonl"])
def test_a_folder_that_is_no_recording_is_refused(recording, tmp_path, missing):
    (recording / missing).unlink()
    with pytest.raises(ConfigError, match=missing):
        replay(recording, tmp_path / "data")


def test_a_recording_needs_no_task_yaml(recording, tmp_path):
    (recording / "train.yaml").unlink()
    assert replay(recording, tmp_path / "data").new_count == 4
