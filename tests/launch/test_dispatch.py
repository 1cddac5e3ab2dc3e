"""Launching: intents and results, what is in flight, what is lost, cycles."""

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest

from fmon.errors import QueueError
from fmon.job_key import job_key
from fmon.launch.dispatch import LaunchKey
from fmon.manifest.file import ManifestFile, read_manifest, write_manifest
from fmon.monitor.ingest import ingest
from fmon.store.compaction import close
from fmon.store.durable import LockTaken
from tests.support.dispatching import all_of, launch, launched_jobs, make_store
from tests.support.events import written_events
from tests.support.fake_skypilot import FINE, FakeSkyPilot, FakeSubmitter, Fate, SkyPilotQueue
from tests.support.world import PACE

DROPPED = Fate(answer_s=1.0, takes_s=5.0)
LOST = Fate(arrives_s=None, answer_s=1.0)


@pytest.fixture
def server():
    return FakeSkyPilot()


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


def first(fate):
    """Give one fate to the first launch and a good one to all others."""
    left = [fate]
    return lambda submission: left.pop() if left else FINE


def events(store, kind):
    return written_events(store, kind)


def assert_once(store, server, cycle=0):
    jobs = launched_jobs(server)
    assert {key: len(ids) for key, ids in jobs.items() if key[1] == cycle} == dict.fromkeys(
        all_of(store, cycle), 1
    )
    newest = {entry.condition: entry.job_id for entry in read_manifest(store).jobs}
    assert newest == {condition: ids[0] for (condition, of), ids in jobs.items() if of == cycle}


def test_every_condition_gets_one_job_and_the_manifest_names_it(store, server):
    done = launch(store, server)
    assert len(done.launched) == 4
    assert_once(store, server)


def test_an_intent_precedes_each_launch_and_a_result_follows_it(store, server):
    launch(store, server)
    keys = [event["attempt_key"] for event in events(store, "launch_intent")]
    assert sorted(keys) == sorted(event["attempt_key"] for event in events(store, "launch_result"))
    assert len(set(keys)) == 4
    assert {event["cycle"] for event in events(store, "launch_intent")} == {0}
    assert all(event["job_id"] and not event["is_uncertain"] for event in events(store, "launch_result"))


def test_launching_again_launches_nothing(store, server):
    launch(store, server)
    again = launch(store, server)
    assert (again.launched, len(again.found), len(server.jobs)) == ({}, 4, 4)


def test_launches_in_flight_never_exceed_the_limit(store, server):
    flying = []
    launch(
        store, server, FakeSubmitter(server, lambda submission: flying.append(len(server.in_flight)) or FINE)
    )
    assert max(flying) < PACE.parallel
    sent = [datetime.fromisoformat(event["at"]) for event in events(store, "launch_intent")]
    assert min(after - before for before, after in pairwise(sent)) >= timedelta(minutes=1 / PACE.per_minute)


def test_a_refused_condition_is_recorded_and_the_others_are_launched(store, server):
    done = launch(store, server, FakeSubmitter(server, first(Fate(makes="refusal"))))
    ((condition, why),) = done.failed.items()
    assert why == "ValueError: no"
    assert len(done.launched) == 3
    (result,) = [event for event in events(store, "launch_result") if event["job_id"] is None]
    assert (result["condition_id"], result["error_type"], result["is_uncertain"]) == (
        condition,
        "ValueError",
        False,
    )
    assert len(launch(store, server).launched) == 1
    assert_once(store, server)


def test_a_job_that_the_server_created_before_it_failed_is_found_and_not_launched_again(store, server):
    done = launch(store, server, FakeSubmitter(server, first(Fate(makes="both"))))
    assert (len(done.launched), len(done.found), done.failed) == (3, 1, {})
    assert_once(store, server)


def test_a_launch_whose_response_was_lost_is_found_in_the_queue(store, server):
    done = launch(store, server, FakeSubmitter(server, first(DROPPED)))
    assert (len(done.launched), len(done.found), done.uncertain) == (3, 1, {})
    assert_once(store, server)


def test_a_launch_in_flight_is_waited_for(store, server):
    slow = Fate(answer_s=1.0, takes_s=600.0)
    done = launch(store, server, FakeSubmitter(server, first(slow)))
    assert len(done.found) == 1
    assert server.now_s > 600
    assert_once(store, server)


def test_a_lost_launch_is_repeated_only_after_the_grace_period(store, server):
    submitter = FakeSubmitter(server, first(LOST))
    done = launch(store, server, submitter)
    assert len(done.launched) == 4
    assert server.now_s > PACE.grace_s
    assert len(submitter.submitted) == 5
    assert_once(store, server)


def test_a_launch_that_hangs_is_killed_and_then_uncertain(store, server):
    submitter = FakeSubmitter(server, first(Fate(arrives_s=None)))
    done = launch(store, server, submitter)
    assert submitter.is_closed
    assert len(done.launched) == 4
    assert server.now_s > PACE.patience_s + PACE.grace_s
    assert_once(store, server)


def test_a_late_launch_that_completes_between_the_two_checks_is_found_by_one_of_them(store, server):
    submitter, began = FakeSubmitter(server, first(LOST)), []

    def sleep(seconds):
        began.append(server.now_s)
        server.pass_time(seconds)
        if server.now_s - began[0] > PACE.grace_s - 5 and len(server.jobs) == 3 and not server.in_flight:
            lost = submitter.submitted[0]  # it arrives now, and ends between the looks, which take 0.5 s each
            server.take(lost.task_yaml, lost.job_name, Fate(takes_s=0.75), lambda said: None)

    done = launch(store, server, submitter, sleep=sleep)
    assert len(done.found) == 1
    assert_once(store, server)


def test_a_job_that_appears_after_a_restart_of_the_server_is_not_launched_again(store, server):
    late = Fate(makes="late job", late_s=PACE.grace_s - 20)
    done = launch(store, server, FakeSubmitter(server, first(late)))
    assert len(done.found) == 1
    assert_once(store, server)


def test_an_intent_without_a_result_is_uncertain_for_the_next_run(store, server):
    class DeadError(BaseException):
        pass

    class Dies(FakeSubmitter):
        def submit(self, submission):
            super().submit(submission)
            raise DeadError

    with pytest.raises(DeadError):
        launch(store, server, Dies(server, lambda submission: Fate(takes_s=60.0)))
    assert len(launch(store, server).launched) == 3
    assert_once(store, server)


def test_if_no_check_succeeds_nothing_is_launched(store, server):
    server.is_list_away = lambda: True
    with pytest.raises(QueueError, match="request list"):
        launch(store, server)
    server.is_list_away, server.is_queue_away = (lambda: False), (lambda: True)
    with pytest.raises(QueueError, match="queue is away"):
        launch(store, server)
    assert events(store, "launch_intent") == []


def test_an_uncertain_launch_stays_uncertain_while_the_queue_is_unavailable(store, server):
    submitter = FakeSubmitter(server, first(LOST))
    looks = []
    server.is_queue_away = lambda: looks.append(1) or len(looks) > 1
    done = launch(store, server, submitter)
    assert (len(done.uncertain), len(done.launched)) == (1, 3)
    assert done.error.error_type == "Timeout"
    assert len(submitter.submitted) == 4


def test_if_the_server_stops_answering_the_run_ends_and_lists_the_rest(store, server):
    calls = []
    done = launch(
        store, server, FakeSubmitter(server, lambda it: calls.append(it) or Fate(is_away=len(calls) > 1))
    )
    assert (len(done.launched), len(done.left)) == (1, 3)
    assert done.error.error_type == "ApiServerConnectionError"
    assert len(launch(store, server).launched) == 3
    assert_once(store, server)


def test_a_request_whose_task_is_hidden_may_be_ours(store, server):
    submitter = FakeSubmitter(server, first(LOST))
    server.take("run: x\n_metadata: {fmon: {}}", "other", Fate(takes_s=400.0), lambda said: None)
    for request in server.in_flight.values():
        request.is_hidden = True
    done = launch(store, server, submitter)
    assert server.now_s > 400
    assert len(done.launched) == 4


def test_two_launchers_at_once_do_not_launch_twice(store, server):
    refused = []

    def also(submission):
        with pytest.raises(LockTaken, match="another fmon is launching jobs of small"):
            launch(store, server)
        refused.append(1)
        return FINE

    launch(store, server, FakeSubmitter(server, also))
    assert len(refused) == 4
    assert_once(store, server)


def test_a_relaunch_gives_the_condition_the_new_job_and_keeps_the_former(store, server):
    launch(store, server)
    former = {entry.condition: entry.job_id for entry in read_manifest(store).jobs}
    chosen = all_of(store, 1)[:2]
    done = launch(store, server, FakeSubmitter(server, first(DROPPED)), chosen)
    assert (len(done.launched), len(done.found)) == (1, 1)
    manifest = read_manifest(store)
    assert manifest.current_cycle == 1
    for entry in manifest.jobs:
        is_chosen = LaunchKey(entry.condition, 1) in chosen
        assert [each.job_id for each in entry.attempts] == [former[entry.condition]] * is_chosen
        assert entry.relaunch_batch == is_chosen
        assert (entry.job_id != former[entry.condition]) == is_chosen


def test_a_poll_that_attaches_the_job_first_changes_nothing(store, server):
    class Polls(FakeSubmitter):
        def outcome(self, *, timeout_s):
            found = super().outcome(timeout_s=timeout_s)
            ingest(store, SkyPilotQueue(server).read(), source="sky", now=server.clock())
            return found

    launch(store, server, Polls(server))
    assert_once(store, server)
    assert all(entry.attempts == [] for entry in read_manifest(store).jobs)


def test_a_job_without_metadata_is_recognized_by_its_name(store, server):
    server.keeps_metadata = False
    launch(store, server, FakeSubmitter(server, first(DROPPED)))
    assert_once(store, server)


@pytest.mark.parametrize("keeps_metadata", [True, False], ids=["tagged", "untagged"])
def test_an_interrupted_relaunch_is_found_although_its_id_was_reused(store, server, keeps_metadata):
    server.ids = count(3)
    launch(store, server)
    end_all(store, server)
    server.jobs.clear()  # the jobs controller was torn down
    server.ids, server.keeps_metadata = count(1), keeps_metadata
    done = launch(store, server, FakeSubmitter(server, lambda submission: DROPPED), all_of(store, 1))
    assert (len(done.found), done.uncertain, len(server.jobs)) == (4, {}, 4)
    assert_once(store, server, cycle=1)
    entries = read_manifest(store).jobs
    assert sorted(entry.job_key for entry in entries) == [1, 2, job_key(3, 1), job_key(4, 1)]
    assert sorted(attempt.job_key for entry in entries for attempt in entry.attempts) == [3, 4, 5, 6]


def test_a_relaunch_is_found_although_its_id_is_that_of_a_job_that_no_poll_has_shown(store, server):
    conditions = all_of(store)
    launch(store, server, attempts=conditions[:1])
    server.jobs.clear()
    server.ids = count(1)
    done = launch(store, server, FakeSubmitter(server, first(DROPPED)), conditions[1:2])
    assert (len(done.found), len(server.jobs)) == (1, 1)
    assert [entry.job_key for entry in read_manifest(store).jobs] == [1, job_key(1, 1), None, None]


def test_an_untagged_job_from_before_a_relaunch_or_of_someone_else_is_not_taken_for_it(store, server):
    launch(store, server)
    name = read_manifest(store).jobs[0].job_name
    older = server.add(name, status="SUCCEEDED")
    server.jobs[-1] |= {"submitted_at": server.jobs[0]["submitted_at"] - 1, "user_hash": "me"}
    end_all(store, server)
    stranger = server.add(name)
    server.jobs[-1] |= {"user_hash": "someone"}
    with ManifestFile(store).changing() as manifest:
        manifest.user_hash = "me"
        write_manifest(store, manifest)
    done = launch(store, server, FakeSubmitter(server, first(Fate(makes="refusal"))), all_of(store, 1)[:1])
    assert len(done.failed) == 1
    assert not {older, stranger} & {entry.job_id for entry in read_manifest(store).jobs}


def end_all(store, server):
    """Let all jobs fail, and a poll see it."""
    poll = SkyPilotQueue(server)
    ingest(store, poll.read(), source="sky", now=server.clock())
    for job in server.jobs:
        job |= {"status": "FAILED", "end_at": server.clock().timestamp()}
    ingest(store, poll.read(), source="sky", now=server.clock())


def test_a_job_with_that_name_from_before_the_experiment_is_not_matched(store, server):
    server.now_s = -100
    server.add(read_manifest(store).jobs[0].job_name)
    server.now_s = 0
    assert len(launch(store, server).launched) == 4


def test_a_launch_reopens_a_closed_experiment(store, server):
    close(store, now=datetime.now(UTC))
    launch(store, server)
    assert not store.is_closed


def test_a_replayed_experiment_records_its_launches_and_never_launches(tmp_path, server):
    store = make_store(tmp_path, is_replay=True)
    launch(store, server)
    assert (server.jobs, read_manifest(store).jobs[0].job_id) == ([], None)
    assert [event["dry_run"] for event in events(store, "launch_intent")] == [True] * 4


def test_ctrl_c_leaves_a_manifest_with_the_known_jobs(store, server):
    class Interrupted(FakeSubmitter):
        def outcome(self, *, timeout_s):
            if len(server.jobs) > 1:
                raise KeyboardInterrupt
            return super().outcome(timeout_s=timeout_s)

    with pytest.raises(KeyboardInterrupt):
        launch(store, server, Interrupted(server))
    assert sum(entry.job_id is not None for entry in read_manifest(store).jobs) >= 1
    launch(store, server)
    assert_once(store, server)
