"""A refused launch: sent again after a pause, left queued, or failed; never a second job."""

from dataclasses import replace

import pytest

from fmon.errors import LaunchError, QueueError
from fmon.launch.backoff import Backoff, refusal_of
from fmon.sky.submit.submitter import Outcome
from tests.support.dispatching import all_of, launch, launched_jobs, make_store
from tests.support.events import written_events
from tests.support.fake_skypilot import (
    FINE,
    NO_QUOTA,
    OVERLOADED,
    FakeSkyPilot,
    FakeSubmitter,
    Fate,
    SkyPilotQueue,
)
from tests.support.world import PACE


@pytest.fixture
def server():
    return FakeSkyPilot()


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


def in_order(server, *fates):
    """Give these fates to the first launches and a good one to all others."""
    left = list(fates)
    return FakeSubmitter(server, lambda submission: left.pop(0) if left else FINE)


def by_condition(server, fates):
    """Give a fate to each launch of a condition; the others are fine."""
    return FakeSubmitter(server, lambda submission: fates.get(submission.job_name, FINE))


def assert_once(store, server):
    assert {key: len(ids) for key, ids in launched_jobs(server).items()} == dict.fromkeys(all_of(store), 1)


@pytest.mark.parametrize(
    ("error_type", "error", "refusal"),
    [
        ("HTTP429", "slow down", "overload"),
        ("ServerTemporarilyUnavailableError", "", "overload"),
        ("OperationalError", "(sqlite3.OperationalError) database is locked", "overload"),
        ("ClusterNotUpError", "the jobs controller is INIT", "overload"),
        ("CachedClusterUnavailable", "can't be refreshed", "overload"),
        ("KubeAPIUnreachableError", "", "overload"),
        ("ClientError", "429: Too Many Requests for url images.csv", "overload"),
        ("CloudError", "Rate limit exceeded", "overload"),
        ("RuntimeError", "QueuePool limit of size 5 overflow 10 reached", "overload"),
        ("RuntimeError", "Server is shutting down, please try again later.", "overload"),
        ("ResourcesUnavailableError", "Failed to provision the controller", "capacity"),
        ("RuntimeError", "Quota 'GPUS_ALL_REGIONS' exceeded. Limit: 0.0", "capacity"),
        ("CloudError", "InsufficientInstanceCapacity: Insufficient capacity", "capacity"),
        ("CloudError", "ZONE_RESOURCE_POOL_EXHAUSTED", "capacity"),
        ("ResourcesUnavailableError", "Catalog does not contain any instances satisfying", "final"),
        ("ApiServerConnectionError", "", "away"),
        ("AuthRequired", "", "away"),
        ("ValueError", "no such region", "final"),
        (None, None, "final"),
    ],
)
def test_a_refusal_is_recognized_by_its_class_or_its_text(error_type, error, refusal):
    assert refusal_of(Outcome(attempt_key="c/0/0", error_type=error_type, error=error)) == refusal


def test_the_pause_doubles_with_each_refusal_in_a_row_up_to_a_limit():
    backoff = Backoff(replace(PACE, retries=9))
    assert [backoff.refused(sent_at=at, at=at + 1) for at in range(0, 70, 10)] == [
        10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip
    backoff.accepted()
    assert backoff.refused(sent_at=100, at=101) == 10


def test_launches_refused_at_the_same_time_count_once():
    backoff = Backoff(PACE)
    assert [backoff.refused(sent_at=at, at=5.0) for at in (1.0, 2.0, 3.0)] == [10, 10, 10]
    assert not backoff.is_used_up


def test_overloaded_twice_then_accepted(store, server):
    submitter = in_order(server, OVERLOADED, OVERLOADED, OVERLOADED, OVERLOADED)
    done = launch(store, server, submitter)
    done.require_all("")
    assert len(done.launched) == 4
    assert len(submitter.submitted) == 8
    assert server.now_s > 10 + 20
    assert_once(store, server)


@pytest.mark.parametrize("error", ["OperationalError", "HTTP429", "ClusterNotUpError"])
def test_a_job_made_by_a_launch_that_an_overloaded_server_refused_is_found(store, server, error):
    both = replace(OVERLOADED, makes="both", error_type=error)
    done = launch(store, server, in_order(server, both))
    assert (len(done.launched), len(done.found)) == (3, 1)
    assert_once(store, server)


def test_an_overload_without_an_answer_waits_for_the_grace_period(store, server):
    unheard = Fate(arrives_s=None, answer_s=1.0)
    done = launch(store, server, in_order(server, unheard, OVERLOADED))
    assert len(done.launched) == 4
    assert server.now_s > PACE.grace_s
    assert_once(store, server)


def test_a_poll_that_an_overloaded_server_refuses_is_repeated_before_anything_is_sent_again(store, server):
    class Starting(SkyPilotQueue):
        reads = 0

        def read(self, while_waiting=None):
            answer = super().read(while_waiting)
            self.reads += 1
            if self.reads == 2:
                raise QueueError("the jobs controller is INIT", error_type="ClusterNotUpError")
            return answer

    submitter, queue = in_order(server, OVERLOADED), Starting(server)
    done = launch(store, server, submitter, queue=queue)
    assert (len(done.launched), done.error) == (4, None)
    assert (queue.reads, len(submitter.submitted)) == (3, 5)
    assert_once(store, server)


def test_a_server_that_stays_overloaded_leaves_the_rest_queued(store, server):
    submitter = FakeSubmitter(server, lambda submission: OVERLOADED)
    done = launch(store, server, submitter)
    assert len(done.queued) == 4
    assert set(done.queued.values()) == {"OperationalError: database is locked"}
    assert len(submitter.submitted) < 4 * (1 + PACE.retries)
    with pytest.raises(LaunchError, match=r"4 conditions stay queued: .* \(OperationalError: ") as said:
        done.require_all("fmon launch x.yaml")
    assert said.value.exit_code == 15
    assert "run fmon launch x.yaml to resume, nothing is launched twice" in str(said.value)
    assert len(launch(store, server).launched) == 4
    assert_once(store, server)


def test_one_launch_that_is_always_refused_does_not_stop_the_others(store, server):
    submitter = by_condition(server, {"sam3-dice_ce": OVERLOADED})
    done = launch(store, server, submitter)
    assert (list(done.queued), len(done.launched)) == (["sam3-dice_ce"], 3)
    sent = [each.job_name for each in submitter.submitted]
    assert sent.count("sam3-dice_ce") == 1 + PACE.retries


def test_without_quota_nothing_more_is_sent_and_the_rest_stays_queued(store, server):
    submitter = in_order(server, FINE, NO_QUOTA, NO_QUOTA, NO_QUOTA)
    done = launch(store, server, submitter)
    assert (len(done.launched), len(done.queued)) == (1, 3)
    assert set(done.queued.values()) == {"ResourcesUnavailableError: no quota for L4"}
    assert [each["is_uncertain"] for each in written_events(store, "launch_result")] == [False] * len(
        submitter.submitted
    )
    assert len(launch(store, server).launched) == 3
    assert_once(store, server)


def test_what_was_refused_most_often_is_launched_last(store, server):
    launch(store, server, in_order(server, NO_QUOTA, NO_QUOTA, NO_QUOTA))
    again = FakeSubmitter(server, lambda submission: NO_QUOTA)
    launch(store, server, again)
    assert again.submitted[0].job_name == "sam3-dice_ce_cldice"


def test_a_permanent_refusal_is_neither_repeated_nor_queued(store, server):
    submitter = by_condition(server, {"sam3-dice_ce": Fate(makes="refusal")})
    done = launch(store, server, submitter)
    assert (done.failed, done.queued) == ({"sam3-dice_ce": "ValueError: no"}, {})
    assert len(submitter.submitted) == 4


def test_killed_during_a_pause_the_next_run_launches_the_rest_once(store, server):
    class DeadError(BaseException):
        pass

    def dies(seconds):
        raise DeadError

    with pytest.raises(DeadError):
        launch(store, server, in_order(server, FINE, OVERLOADED, FINE, FINE), sleep=dies)
    assert len(launch(store, server).launched) == 1
    assert_once(store, server)
