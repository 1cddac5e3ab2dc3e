"""An end is not final: a failed cleanup changes nothing, and a job that runs again is checked again."""

import os
from datetime import timedelta
from itertools import pairwise

import pytest

from fmon.diagnose.gate import UNFINISHED, unfinished
from fmon.errors import QueueError, RuleError
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import Attempt
from fmon.monitor.poll import poll
from fmon.rules.f1_wait_for_terminal import f1_wait_for_terminal
from fmon.sky.reader import LogRequest
from fmon.store.folder import Store, stores
from fmon.store.job_logs import load_log
from fmon.warehouse import connect
from tests.support.queries import select
from tests.support.queues import RUNNING, START, FakeLogs, FakeQueue, ended

ENDED = [ended(record, "SUCCEEDED") for record in RUNNING]
STATES = "select condition_id, state, status, category from condition where job_id = 1"


def look(data, first, *, minute, logs=None, names=()):
    """Poll a queue in which only the first job is of interest."""
    queue = FakeQueue([first, *ENDED[1:]])
    return poll(data, queue, names, now=START + timedelta(minutes=minute), logs=logs)


@pytest.fixture
def succeeded(config, data):
    """An experiment all of whose jobs have succeeded; it is closed."""
    adopt(config, FakeQueue(ENDED), data, now=START)
    return stores(data)[0]


def test_a_failed_cleanup_is_not_examined_and_changes_no_result(config, data):
    adopt(config, FakeQueue([RUNNING[0], *ENDED[1:]]), data, now=START)
    assert look(data, ended(RUNNING[0], "SUCCEEDED"), minute=1).observed[0].is_closed
    logs = FakeLogs()
    polled = look(data, ended(RUNNING[0], "FAILED_CONTROLLER"), minute=2, logs=logs)
    assert [each.sentence() for each in polled.examined] == [None]
    assert logs.asked == []
    (state,) = select(data, STATES)
    assert (state["state"], state["status"], state["category"]) == ("succeeded", "SUCCEEDED", None)
    alarms = select(data, "select kind, severity from alarm where cleared_at is null")
    assert alarms == [{"kind": "status_changed", "severity": "warning"}]


@pytest.mark.slow
def test_a_job_that_fails_again_is_examined_again_from_its_new_log(config, data):
    adopt(config, FakeQueue([RUNNING[0], *ENDED[1:]]), data, now=START)
    failed = ended(RUNNING[0], "FAILED")
    look(data, failed, minute=1, logs=FakeLogs({LogRequest(1): "ValueError: one\n"}))
    assert select(data, STATES)[0]["state"] == "failed"
    look(data, RUNNING[0], minute=2)
    (state,) = select(data, STATES)
    assert (state["state"], state["category"]) == ("running", None)
    later = ended(RUNNING[0], "FAILED", minutes=40)
    look(data, later, minute=12, logs=FakeLogs({LogRequest(1): "KeyError: 'two'\n"}))
    assert "two" in load_log(stores(data)[0], "1.log")
    (finding,) = select(data, "select exception_class, end_at from finding")
    assert finding == {"exception_class": "KeyError", "end_at": START + timedelta(minutes=40)}


@pytest.mark.slow
def test_an_ended_experiment_is_checked_at_every_poll_then_hourly_then_daily_then_never(succeeded, data):
    times = [*range(40), *range(60, 60 * 24 * 12, 20)]
    polled = []
    for minute in times:
        queue = FakeQueue(ENDED)
        poll(data, queue, now=START + timedelta(minutes=minute))
        if queue.read_count:
            polled.append(minute)
    assert polled[:17] == [*range(16), 80]
    day = [minute for minute in polled if 60 <= minute < 1500]
    assert {after - before for before, after in pairwise(day)} == {60}
    week = [minute for minute in polled if minute >= 1460]
    assert {after - before for before, after in pairwise(week)} == {1440}
    assert len(week) == 7
    assert succeeded.is_closed


def test_an_ended_experiment_that_is_named_is_always_polled_and_its_jobs_alone_count(succeeded, data):
    other = {**RUNNING[0], "job_id": 99}  # of the same name, submitted by someone after the end
    queue = FakeQueue([*ENDED, other])
    late = START + timedelta(days=40)
    assert poll(data, queue, now=late).observed == []
    (seen,) = poll(data, queue, [succeeded.experiment_id], now=late).observed
    assert seen.is_unchanged
    assert seen.sentence() == "ended, closed at 2026-03-22 05:00:00 UTC; the queue shows no change"
    assert succeeded.is_closed


@pytest.mark.slow
def test_a_job_that_runs_again_reopens_its_experiment_and_is_named(succeeded, data):
    (seen,) = look(data, RUNNING[0], minute=1).observed
    assert (seen.reopened, seen.sentence()) == (
        [1],
        "4 job tasks seen, 1 changed; had ended, but job 1 is open: reopened",
    )
    assert not succeeded.is_closed
    (alarm,) = select(data, "select kind, message from alarm where cleared_at is null")
    assert alarm["kind"] == "reopened"
    assert "had ended as SUCCEEDED and is RUNNING again" in alarm["message"]
    assert look(data, ENDED[0], minute=9).observed[0].is_closed


def test_a_check_that_was_killed_before_it_reopened_is_repeated(succeeded, data, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Store, "reopen", lambda store: None)
        look(data, RUNNING[0], minute=1)
    look(data, RUNNING[0], minute=2)
    assert not succeeded.is_closed


def test_a_marker_of_an_earlier_version_or_with_a_wrong_clock_is_understood(succeeded, data):
    succeeded.closed_mark.write_bytes(b"")
    os.utime(succeeded.closed_mark, (START.timestamp(), START.timestamp()))
    assert look(data, ENDED[0], minute=90).observed[0].is_unchanged
    assert succeeded.closed_at == START
    assert look(data, ENDED[0], minute=91).observed == []
    ahead = (START + timedelta(days=4000)).timestamp()
    os.utime(succeeded.closed_mark, (ahead, ahead))
    assert look(data, ENDED[0], minute=95).observed[0].is_unchanged


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statuses", "state", "status", "kinds"),
    [
        (["SUCCEEDED", "RUNNING"], "running", "RUNNING", ["reopened"]),
        (["CANCELLED", "RECOVERING"], "running", "RECOVERING", ["reopened"]),
        (["FAILED_SETUP", "PENDING"], "pending", "PENDING", ["reopened"]),
        (["FAILED_CONTROLLER", "RUNNING", "SUCCEEDED"], "succeeded", "SUCCEEDED", []),
        (["CANCELLED", "FAILED_CONTROLLER"], "cancelled", "CANCELLED", ["status_changed"]),
        (["FAILED", "FAILED_CONTROLLER"], "failed", "FAILED", ["status_changed"]),
        (["SUCCEEDED", "FAILED_CONTROLLER", "FAILED"], "succeeded", "SUCCEEDED", ["status_changed"]),
        (["SUCCEEDED", "RUNNING", "FAILED_CONTROLLER"], "failed", "FAILED_CONTROLLER", []),
        (["FAILED", "SUCCEEDED"], "succeeded", "SUCCEEDED", ["status_changed"]),
    ],
)
def test_what_a_job_counts_as_after_its_end_has_changed(config, data, statuses, state, status, kinds):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    for minute, seen in enumerate(statuses, start=1):
        is_open = seen in ("RUNNING", "RECOVERING", "PENDING")
        first = {**RUNNING[0], "status": seen} if is_open else ended(RUNNING[0], seen)
        look(data, first, minute=minute)
        assert stores(data)[0].is_closed == (not is_open)
    (found,) = select(data, STATES)
    assert (found["state"], found["status"]) == (state, status)
    alarms = select(data, "select distinct kind from alarm where cleared_at is null")
    assert [alarm["kind"] for alarm in alarms] == kinds


@pytest.mark.slow
def test_of_several_tasks_only_the_one_whose_end_has_changed_counts_anew(config, data):
    tasks = [ended({**RUNNING[0], "task_id": task}, "SUCCEEDED") for task in (0, 1)]
    adopt(config, FakeQueue([*tasks, *ENDED[1:]]), data, now=START)
    again = {**RUNNING[0], "task_id": 1}
    poll(data, FakeQueue([tasks[0], again, *ENDED[1:]]), now=START + timedelta(minutes=1))
    assert select(data, "select task_id, status from job where job_id = 1 order by task_id") == [
        {"task_id": 0, "status": "SUCCEEDED"},
        {"task_id": 1, "status": "RUNNING"},
    ]
    assert select(data, STATES)[0]["state"] == "running"
    assert select(data, "select task_id, kind from alarm") == [{"task_id": 1, "kind": "reopened"}]


@pytest.mark.slow
def test_an_ended_experiment_whose_jobs_leave_the_queue_stays_ended(succeeded, data):
    seen = poll(data, FakeQueue([]), now=START + timedelta(minutes=1)).observed[0]
    assert (seen.is_closed, seen.sentence()) == (True, "0 job tasks seen, 4 changed; all ended")
    (again,) = poll(data, FakeQueue([]), now=START + timedelta(minutes=2)).observed
    assert again.is_unchanged
    assert succeeded.closed_at == START
    assert select(data, "select distinct state from condition") == [{"state": "succeeded"}]
    assert select(data, "select * from alarm") == []


def test_a_queue_that_does_not_answer_changes_no_ended_experiment(succeeded, data):
    for minute in (1, 2000):
        assert poll(
            data, FakeQueue(QueueError("down", error_type="X")), now=START + timedelta(minutes=minute)
        )
        assert (succeeded.is_closed, succeeded.closed_at) == (True, START)
    assert not succeeded.is_to_poll(START + timedelta(minutes=2001))


@pytest.mark.slow
def test_f1_names_an_earlier_job_that_runs_again_beside_the_newest_one(config, data):
    adopt(config, FakeQueue([ended(RUNNING[0], "FAILED"), *ENDED[1:]]), data, now=START)
    manifest = read_manifest(stores(data)[0])
    manifest.jobs[0].attempts = [Attempt(job_id=1, cycle=0)]
    manifest.jobs[0].job_id, manifest.jobs[0].relaunch_batch, manifest.current_cycle = 9, 1, 1
    write_manifest(stores(data)[0], manifest)
    newer = ended({**RUNNING[0], "job_id": 9}, "SUCCEEDED")
    poll(data, FakeQueue([RUNNING[0], newer, *ENDED[1:]]), ["small"], now=START + timedelta(minutes=1))
    con = connect(data, queries=(UNFINISHED,))
    with pytest.raises(RuleError, match=r"1 job is still open: dynunet-dice_ce \(job 1, RUNNING\)"):
        f1_wait_for_terminal(unfinished(con))
    (alarm,) = select(data, "select kind, severity, message from alarm where cleared_at is null")
    assert (alarm["kind"], alarm["severity"]) == ("reopened", "critical")
    assert "beside job 9 of the same condition" in alarm["message"]
