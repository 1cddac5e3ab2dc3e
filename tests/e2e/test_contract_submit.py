"""What launching and cancelling rely on, compared with a real SkyPilot and its own SDK."""

import os
import time

import pytest

from fmon.errors import QueueError
from fmon.sky.http_queue import HttpQueue
from fmon.sky.submit.sdk import SdkSubmitter
from fmon.sky.submit.submitter import Submission

pytestmark = pytest.mark.real

WAIT_S = 300
TASK = """\
name: contract-{condition}
_metadata: {{fmon: {{experiment: contract-1, condition: {condition}, cycle: 1}}}}
resources: {{infra: slurm/demo, cpus: 1+, accelerators: 'H100:{number}'}}
run: sleep 300
"""


@pytest.fixture(scope="module")
def submitter(realsky):
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("SKYPILOT"):
                patch.delenv(name)
        for name, value in realsky.env.items():
            patch.setenv(name, value)
        submitter = SdkSubmitter()
        yield submitter
        submitter.close()


def submission(condition, number=1):
    text = TASK.format(condition=condition, number=number)
    return Submission(attempt_key=condition, job_name=f"contract-{condition}", task_yaml=text)


def test_a_launch_is_in_flight_until_its_job_is_in_the_queue_and_can_be_cancelled(submitter):
    submitter.submit(submission("a"))
    seen, until = [], time.monotonic() + WAIT_S
    outcome = None
    while outcome is None:
        assert time.monotonic() < until
        seen += submitter.in_flight()
        outcome = submitter.outcome(timeout_s=0.1)
    assert {
        (each.job_name, each.experiment_id, each.condition_id, each.cycle, each.is_readable) for each in seen
    } == {("contract-a", "contract-1", "a", 1, True)}
    assert submitter.in_flight() == []
    job = by_id()[outcome.job_id]
    assert (job.job_name, job.fmon_experiment, job.fmon_condition, job.fmon_cycle) == (
        "contract-a", "contract-1", "a", 1,
    )  # fmt: skip
    submitter.cancel([outcome.job_id])
    until = time.monotonic() + WAIT_S
    while (status := by_id()[outcome.job_id].status) != "CANCELLED":
        assert status in ("PENDING", "STARTING", "RUNNING", "CANCELLING")
        assert time.monotonic() < until
        time.sleep(5)


def by_id():
    return {record.job_id: record for record in HttpQueue().read().records}


def test_a_cluster_that_is_none_is_refused_for_certain(submitter):
    text = TASK.format(condition="b", number=1).replace("slurm/demo", "slurm/nope")
    submitter.submit(Submission(attempt_key="b", job_name="contract-b", task_yaml=text))
    outcome = submitter.outcome(timeout_s=WAIT_S)
    assert (outcome.job_id, outcome.error_type, outcome.is_uncertain) == (None, "ValueError", False)
    assert "nope" in outcome.error
    assert "contract-b" not in {record.job_name for record in HttpQueue().read().records}


def test_skypilot_s_own_list_of_requests_names_launches_as_ours_does(submitter, realsky):
    submitter.submit(submission("c", number=99))
    until = time.monotonic() + WAIT_S
    while not submitter.in_flight():
        assert time.monotonic() < until
    shown = realsky.sky("api", "status", "--all-status", "-l", "all")  # it may have ended meanwhile
    assert "sky.jobs.launch" in shown
    assert submitter.outcome(timeout_s=WAIT_S).job_id is not None


def test_a_task_is_parsed_as_a_launch_would(submitter):
    assert submitter.parse(submission("d").task_yaml) == 1
    with pytest.raises(QueueError, match="accelerators"):
        submitter.parse("resources: {acclerators: L4}\nrun: x\n")
