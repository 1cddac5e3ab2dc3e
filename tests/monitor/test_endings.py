"""An end is not final: a failed clean-up changes nothing, and a job that runs again is looked at again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll
from fmon.sky.reader import LogRequest
from fmon.store.folder import stores
from fmon.store.job_logs import load_log
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


def test_a_failed_clean_up_is_not_examined_and_changes_no_result(config, data):
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


def test_a_job_that_fails_again_is_examined_again_from_its_new_log(config, data):
    adopt(config, FakeQueue([RUNNING[0], *ENDED[1:]]), data, now=START)
    failed = ended(RUNNING[0], "FAILED")
    look(data, failed, minute=1, logs=FakeLogs({LogRequest(1): "ValueError: one\n"}))
    assert select(data, STATES)[0]["state"] == "failed"
    look(data, RUNNING[0], minute=2)
    (state,) = select(data, STATES)
    assert (state["state"], state["category"]) == ("running", None)
    later = replace(failed, end_at=failed.end_at + timedelta(minutes=9))
    look(data, later, minute=12, logs=FakeLogs({LogRequest(1): "KeyError: 'two'\n"}))
    assert "two" in load_log(stores(data)[0], "1.log")
    (finding,) = select(data, "select exception_class, end_at from finding")
    assert finding == {"exception_class": "KeyError", "end_at": later.end_at}
