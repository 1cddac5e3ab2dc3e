"""Every way to look at a queue looks for firings: poll, watch, adopt and replay."""

import json
from datetime import timedelta

import pytest

import fmon.monitor.kill_switch
import fmon.warehouse
from fmon.clock import Clock
from fmon.errors import StoreError
from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll, watch
from fmon.monitor.replay import replay
from fmon.monitor.status import QUERIES, exit_status, status
from fmon.store.folder import stores
from fmon.warehouse import connect
from tests.support.bursts import CONFIG, JOB_OF, LOGS, burst, failed, logs, queue_of
from tests.support.events import written_events
from tests.support.queues import START, FakeQueue
from tests.support.world import write_config

pytestmark = pytest.mark.slow

WAITING = [JOB_OF["sam3-3"], JOB_OF["sam3-4"]]


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "config", CONFIG)


def firings(data):
    return written_events(stores(data)[0], "kill_switch")


def adopted(config, data, *polls):
    queue = FakeQueue(*polls)
    adopt(config, queue, data, now=START)
    return queue


def test_the_poll_that_sees_three_identical_failures_records_the_firing(config, data):
    queue = adopted(config, data, queue_of(), burst())
    polled = poll(data, queue, now=START, logs=logs())
    (event,) = firings(data)
    assert event["at"] == f"{START + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    assert event["member_job_ids"] == [JOB_OF[f"sam3-{fold}"] for fold in range(3)]
    assert event["candidate_job_ids"] == WAITING
    assert "dry_run" not in event
    assert polled.examined[0].sentence() == (
        "3 failures examined: 3 import_error; the kill switch fired: 3 jobs failed with the identical error "
        "(import_error) at model=sam3; to cancel job 9, 10, run "
        "fmon cancel --kill-switch -e burst-20260322T050000Z"
    )


def test_a_poll_without_new_findings_neither_looks_nor_fires_again(config, data, monkeypatch):
    queue = adopted(config, data, queue_of(), burst())
    poll(data, queue, now=START, logs=logs())
    monkeypatch.setattr(fmon.warehouse, "connect", None)
    assert poll(data, queue, now=START, logs=logs()).examined == []
    assert len(firings(data)) == 1


def test_watch_records_the_firing_and_status_says_what_to_type(config, data):
    queue = adopted(config, data, queue_of(), burst())
    polls = watch(
        data, queue, "burst", interval_s=60, clock=Clock(now=lambda: START, sleep=lambda _: None), logs=logs()
    )
    next(polls)
    seen = status(connect(data, queries=QUERIES, now=START + timedelta(minutes=1)))
    assert seen.alarms[0].message.endswith(
        "to cancel job 9, 10, run fmon cancel --kill-switch -e burst-20260322T050000Z"
    )
    assert exit_status(seen) == 5


def test_failures_that_adopt_finds_fire_with_the_next_poll(config, data):
    queue = adopted(config, data, burst())
    poll(data, queue, now=START, logs=logs())
    assert [event["candidate_job_ids"] for event in firings(data)] == [WAITING]


def test_adopting_a_lower_ratio_fires_although_no_failure_is_new(config, data):
    queue = adopted(config, data, queue_of(sam3_1=failed("sam3-1")))
    poll(data, queue, now=START, logs=logs())
    assert firings(data) == []
    config.write_text(CONFIG + "max_failed_ratio: 0.05\n")
    adopt(config, queue, data, now=START)
    poll(data, queue, now=START, logs=logs())
    assert [event["trigger"] for event in firings(data)] == ["failed_ratio"]


def test_a_poll_that_dies_before_the_firing_is_recorded_leaves_it_to_the_next(config, data, monkeypatch):
    queue = adopted(config, data, queue_of(), burst())
    with monkeypatch.context() as patch:
        patch.setattr(
            fmon.monitor.kill_switch,
            "append_event",
            lambda *_, **__: (_ for _ in ()).throw(StoreError("full")),
        )
        assert poll(data, queue, now=START, logs=logs()).faults
    poll(data, queue, now=START, logs=logs())
    assert len(firings(data)) == 1


def test_a_replay_fires_by_the_recorded_clock_and_marks_it_as_dry(config, data):
    recording = config.parent
    polls = [
        {"polled_at": f"{START + timedelta(minutes=3 * number):%Y-%m-%dT%H:%M:%SZ}", "jobs": jobs}
        for number, jobs in enumerate([queue_of(), burst(), burst()])
    ]
    (recording / "queue.jsonl").write_text("".join(json.dumps(each) + "\n" for each in polls))
    (recording / "logs").mkdir()
    for ask, text in LOGS.items():
        (recording / "logs" / ask.file_name).write_text(text)
    for _ in range(2):
        replay(recording, data)
    (event,) = firings(data)
    assert (event["at"], event["dry_run"]) == ("2026-03-22T05:03:00Z", True)
    assert event["candidate_job_ids"] == WAITING


@pytest.mark.slow
def test_the_demo_does_not_fire_for_its_failures_are_minutes_apart(tmp_path):
    from tests.support import ROOT

    replay(ROOT / "data/demo", tmp_path)
    assert firings(tmp_path) == []
