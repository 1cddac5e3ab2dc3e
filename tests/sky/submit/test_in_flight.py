"""SkyPilot's list of requests, read for launches."""

import json

import pytest

from fmon.errors import QueueError
from fmon.sky.submit.in_flight import launches

TASK = "name: job\nrun: x\n_metadata: {fmon: {experiment: e-1, condition: c, cycle: 1}}\n"


def request(task=TASK, **changes):
    body = {"task": task, "name": "job", "env_vars": {}}
    base = {
        "request_id": "r1",
        "name": "sky.jobs.launch",
        "status": "RUNNING",
        "request_body": json.dumps(body),
    }
    return {**base, **changes}


@pytest.mark.parametrize("status", ["PENDING", "WAITING", "RUNNING"])
def test_a_launch_that_has_not_ended_says_which_attempt_it_is(status):
    (launch,) = launches([request(status=status)])
    assert (launch.job_name, launch.experiment_id, launch.condition_id, launch.cycle) == (
        "job",
        "e-1",
        "c",
        1,
    )


@pytest.mark.parametrize(
    "changes", [{"status": "SUCCEEDED"}, {"name": "sky.jobs.cancel"}, {"name": "sky.launch"}]
)
def test_what_has_ended_or_is_no_managed_job_does_not_count(changes):
    assert launches([request(**changes)]) == []


def test_a_pipeline_is_read_to_the_task_that_says_it():
    (launch,) = launches([request("name: job\n---\n" + TASK)])
    assert launch.condition_id == "c"


def test_another_s_launch_has_a_name_and_no_condition():
    (launch,) = launches([request("name: job\nrun: x\n")])
    assert (launch.job_name, launch.condition_id, launch.is_readable) == ("job", None, True)


@pytest.mark.parametrize("body", ["null", "garbage", '{"task": "a: ["}', '{"task": null}', '{"task": "[1]"}'])
def test_a_launch_that_can_t_be_read_may_be_anything(body):
    (launch,) = launches([request(request_body=body)])
    assert not launch.is_readable


@pytest.mark.parametrize("requests", [["x"], [{}], [None]])
def test_another_shape_is_refused_for_it_would_say_that_nothing_is_in_flight(requests):
    with pytest.raises(QueueError, match="an unknown structure"):
        launches(requests)
