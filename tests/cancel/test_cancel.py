"""Cancelling: what is meant, what is spared, what appears meanwhile, and what is left to say."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from fmon.cancel.cancel import CancelRequest, cancel, is_to_act
from fmon.errors import ConfigError, QueueError
from fmon.monitor.replay import replay
from fmon.sky.submit.submitter import InFlight
from fmon.store.folder import stores
from fmon.study import open_study
from tests.support.bursts import CONFIG, JOB_OF, LOGS, burst, queue_of, running
from tests.support.cancelling import FIRED, NAME, WAITING, Adopted
from tests.support.events import written_events
from tests.support.fake_skypilot import FakeSkyPilot, FakeSubmitter, SkyPilotQueue
from tests.support.queries import select
from tests.support.queues import START
from tests.support.world import files_of, write_config

LEVEL = CancelRequest(selections=("model=sam3",), by="anna")


@pytest.fixture
def fired(tmp_path):
    return Adopted(tmp_path, burst())


@pytest.mark.slow
def test_without_yes_it_is_only_said_which_jobs_and_why(fired):
    before = files_of(fired.data)
    said = fired.proposed()
    assert [(target.condition_id, target.job_id, target.status) for target in said.targets] == [
        ("sam3-3", 9, "PENDING"),
        ("sam3-4", 10, "PENDING"),
    ]
    assert {target.reason for target in said.targets} == {
        "3 jobs failed with the identical error (import_error) at model=sam3"
    }
    assert said.sentences() == [f"{NAME}: 2 jobs would be cancelled; nothing was changed"]
    assert fired.submitter.cancelled == []
    assert files_of(fired.data) == before


@pytest.mark.slow
def test_the_kill_switch_cancels_what_it_proposes_and_waits_until_it_is_gone(fired):
    done = fired.cancel()
    assert fired.submitter.cancelled == WAITING
    assert [target.status for target in done.targets] == ["CANCELLED", "CANCELLED"]
    assert (done.left, done.fault()) == ([], None)
    assert done.sentences() == [f"{NAME}: 2 jobs have ended"]
    others = {status for name, status in fired.statuses().items() if name.startswith("dynunet")}
    assert others == {"RUNNING"}
    begin, end = fired.events("cancel_requested", "cancel")
    assert begin["job_ids"] == end["job_ids"] == WAITING
    assert (begin["reason"], begin["firing_ids"], begin["by"]) == ("kill_switch", [1], "anna")
    assert (end["left_job_ids"], end["reason"], end["by"]) == ([], "kill_switch", "anna")


@pytest.mark.slow
def test_what_the_kill_switch_cancelled_is_run_again_by_relaunch(fired):
    fired.cancel()
    found = select(
        fired.data,
        "select condition_id, reason from relaunch_candidate where reason = 'kill_switch'",
    )
    assert [row["condition_id"] for row in found] == ["sam3-3", "sam3-4"]


@pytest.mark.slow
def test_a_job_that_got_past_the_failure_point_meanwhile_is_spared(fired):
    fired.record("sam3-3").update(running("sam3-3", since=3.4))  # the failures took 30 s
    fired.server.pass_time(60)
    done = fired.cancel()
    assert fired.submitter.cancelled == [JOB_OF["sam3-4"]]
    assert done.sentences()[0] == "spared, since they have passed the failure point: job 9"
    assert fired.statuses()["sam3-3"] == "RUNNING"


@pytest.mark.slow
def test_again_there_is_nothing_to_cancel_and_that_is_success(fired):
    fired.cancel()
    again = fired.cancel()
    assert again.fault() is None
    assert "nothing to cancel" in again.sentences()[0]
    assert fired.submitter.cancelled == WAITING
    assert len(fired.events("cancel_requested")) == 1


@pytest.mark.slow
def test_without_a_firing_there_is_nothing_to_cancel(tmp_path):
    study = Adopted(tmp_path, queue_of())
    assert study.proposed().sentences() == [
        f"{NAME}: nothing to cancel: the kill switch has not fired in this cycle"
    ]
    assert study.cancel().fault() is None
    assert study.events("cancel_requested", "cancel") == []


@pytest.mark.slow
def test_a_firing_that_proposes_nothing_says_why(tmp_path):
    study = Adopted(tmp_path, burst(sam3_4=running("sam3-4")))
    reason = study.proposed().no_action_reason
    assert "model=sam3 is not to blame: sam3-4 (job 10) succeeded or ran past" in reason
    assert study.cancel().targets == []


@pytest.mark.slow
def test_jobs_of_a_launch_in_flight_are_cancelled_when_they_appear(tmp_path):
    without = [job for job in burst() if job["job_name"] != "sam3-4"]
    study = Adopted(tmp_path, without)
    study.fly("sam3-4", seconds=30)
    done = study.cancel()
    assert [target.job_id for target in done.targets] == [9, 11]
    assert done.targets[1].reason.endswith("at model=sam3; appeared during the cancellation")
    assert done.fault() is None
    assert study.statuses()["sam3-4"] == "CANCELLED"
    assert [event["job_ids"] for event in study.events("cancel_requested")] == [[9], [11]]


@pytest.mark.slow
def test_a_launch_in_flight_of_another_level_is_left_alone(tmp_path):
    without = [job for job in burst() if job["job_name"] != "dynunet-4"]
    study = Adopted(tmp_path, without)
    study.fly("dynunet-4", seconds=1)
    assert study.cancel().fault() is None
    assert study.statuses()["dynunet-4"] == "PENDING"


@pytest.mark.slow
def test_a_launch_that_stays_in_flight_is_named_and_the_exit_code_says_it(tmp_path):
    without = [job for job in burst() if job["job_name"] != "sam3-4"]
    study = Adopted(tmp_path, without)
    study.fly("sam3-4", seconds=10_000)
    fault = study.cancel(max_wait_s=60).fault()
    assert fault.exit_code == 11
    assert str(fault) == (
        f"{NAME}: launches still in flight: sam3-4. "
        "Jobs already cancelled stay cancelled; run the command again"
    )


@pytest.mark.slow
def test_a_launch_that_does_not_say_what_it_is_is_waited_for(fired):
    fired.fly("whatever", seconds=50, is_hidden=True, makes=False)
    begun = fired.server.now_s
    assert fired.cancel().fault() is None
    assert fired.server.now_s - begun >= 50


@pytest.mark.slow
def test_a_launch_of_another_experiment_is_not_waited_for(fired):
    fired.submitter.in_flight = lambda: [
        InFlight(request_id="r", job_name="sam3-3", experiment_id="other-1", condition_id="sam3-3", cycle=0)
    ]
    assert fired.cancel().fault() is None


@pytest.mark.slow
def test_jobs_that_do_not_go_are_named(fired, monkeypatch):
    monkeypatch.setattr(fired.server, "cancel", lambda job_ids: None)
    done = fired.cancel(max_wait_s=130)
    fault = done.fault()
    assert fault.exit_code == 11
    assert "2 jobs not known to have ended: sam3-3 (job 9, PENDING), sam3-4 (job 10, PENDING)" in str(fault)
    assert done.sentences() == [f"{NAME}: 0 jobs have ended"]
    assert fired.submitter.cancelled == WAITING * 3  # asked again every minute
    (end,) = fired.events("cancel")
    assert (end["job_ids"], end["left_job_ids"]) == ([], WAITING)


@pytest.mark.slow
def test_a_job_that_leaves_the_queue_meanwhile_is_not_taken_as_gone(fired):
    fired.server.at(fired.server.now_s + 3, lambda: fired.server.jobs.remove(fired.record("sam3-3")))
    done = fired.cancel(max_wait_s=60)
    assert [target.job_id for target in done.left] == [9]
    assert done.fault().exit_code == 11


@pytest.mark.slow
def test_a_wish_that_skypilot_does_not_take_is_repeated(fired, monkeypatch):
    asked, take = [], fired.submitter.cancel

    def refuse_once(job_ids):
        asked.append(list(job_ids))
        if len(asked) == 1:
            raise QueueError("busy", error_type="Timeout")
        take(job_ids)

    monkeypatch.setattr(fired.submitter, "cancel", refuse_once)
    assert fired.cancel().fault() is None
    assert asked == [WAITING, WAITING]
    assert len(fired.events("cancel_requested")) == 1


@pytest.mark.slow
def test_a_queue_that_is_away_at_first_cancels_nothing(fired):
    fired.server.is_queue_away = lambda: True
    with pytest.raises(QueueError, match="away"):
        fired.cancel()
    assert fired.submitter.cancelled == []
    assert fired.events("cancel_requested", "cancel") == []
    newest = select(fired.data, "select is_ok from poll order by poll_id desc limit 1")
    assert newest == [{"is_ok": False}]


@pytest.mark.slow
def test_a_queue_that_is_away_for_a_while_is_waited_for(fired):
    fired.server.is_queue_away = lambda: 205 < fired.server.now_s < 230
    assert fired.cancel().fault() is None


@pytest.mark.slow
def test_ctrl_c_leaves_a_record_of_what_was_asked_for(fired):
    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancel(
            open_study(fired.data),
            FIRED,
            fired.submitter,
            fired.queue,
            clock=replace(fired.server.time, sleep=interrupt),
        )
    (end,) = fired.events("cancel")
    assert end["left_job_ids"] == WAITING


@pytest.mark.slow
def test_a_person_cancels_a_level_running_jobs_and_duplicates_too(tmp_path):
    twice = {**running("sam3-1"), "job_id": 77, "submitted_at": START.timestamp() + 60}
    study = Adopted(tmp_path, [*queue_of(sam3_1=running("sam3-1")), twice])
    done = study.cancel(LEVEL)
    assert [target.job_id for target in done.targets] == [6, 7, 8, 9, 10, 77]
    assert {target.reason for target in done.targets} == {"model=sam3"}
    assert done.fault() is None
    (begin,) = study.events("cancel_requested")
    assert (begin["reason"], begin["firing_ids"]) == ("person", [])
    assert {status for name, status in study.statuses().items() if "dynunet" in name} == {"RUNNING"}


@pytest.mark.slow
def test_a_person_cancels_one_condition(fired):
    done = fired.cancel(CancelRequest(selections=("dynunet-2",), by="anna"))
    assert fired.submitter.cancelled == [JOB_OF["dynunet-2"]]
    assert done.targets[0].reason == "dynunet-2"


@pytest.mark.slow
def test_a_condition_that_has_ended_is_nothing_to_cancel(fired):
    done = fired.cancel(CancelRequest(selections=("sam3-0",), by="anna"))
    assert done.sentences() == [f"{NAME}: nothing to cancel: none of these conditions has an open job"]
    assert done.fault() is None


@pytest.mark.slow
def test_a_named_condition_in_flight_without_a_job_is_cancelled_when_it_appears(tmp_path):
    study = Adopted(tmp_path, [job for job in queue_of() if job["job_name"] != "sam3-4"])
    study.fly("sam3-4", seconds=20)
    done = study.cancel(CancelRequest(selections=("sam3-4",), by="anna"))
    assert [target.job_id for target in done.targets] == [11]
    assert study.statuses()["sam3-4"] == "CANCELLED"


@pytest.mark.slow
def test_too_many_failures_propose_what_has_not_started(tmp_path):
    config = CONFIG + "max_failed_ratio: 0.2\n"
    study = Adopted(tmp_path, burst(sam3_2=running("sam3-2", since=3), dynunet_1=queue_of()[5]), config)
    study.server.jobs[1].update(job_id=2, job_name="dynunet-1", status="STARTING")
    assert study.events("kill_switch") == []
    study.server.jobs[7] = burst()[7]
    study.server.pass_time(400)
    study.poll()
    ratio = [event for event in study.events("kill_switch") if event["trigger"] == "failed_ratio"]
    assert [event["candidate_job_ids"] for event in ratio] == [[2, 9, 10]]
    assert study.cancel().fault() is None
    assert sorted(study.submitter.cancelled) == [2, 9, 10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "acts"), [("", False), ("kill_switch: alert\n", False), ("kill_switch: act\n", True)]
)
def test_only_a_config_that_says_so_lets_watch_act(tmp_path, key, acts):
    study = Adopted(tmp_path, burst(), CONFIG + key)
    now = study.server.clock()
    assert is_to_act(open_study(study.data, NAME), now=now) is acts
    study.cancel()
    assert is_to_act(open_study(study.data, NAME), now=now + timedelta(minutes=5)) is False


def test_a_poll_never_cancels_whatever_the_config_says(tmp_path):
    study = Adopted(tmp_path, burst(), CONFIG + "kill_switch: act\n")
    study.poll()
    assert study.events("kill_switch") != []
    assert study.events("cancel_requested", "cancel") == []
    assert study.statuses()["sam3-3"] == "PENDING"


@pytest.mark.slow
def test_a_replay_writes_down_what_it_would_cancel_and_nothing_leaves(tmp_path):
    config = write_config(tmp_path, CONFIG)
    polls = [
        {"polled_at": f"{START + timedelta(minutes=3 * number):%Y-%m-%dT%H:%M:%SZ}", "jobs": jobs}
        for number, jobs in enumerate([queue_of(), burst()])
    ]
    (tmp_path / "queue.jsonl").write_text("".join(json.dumps(each) + "\n" for each in polls))
    (tmp_path / "logs").mkdir()
    for ask, text in LOGS.items():
        (tmp_path / "logs" / ask.file_name).write_text(text)
    data = config.parent / "data"
    replay(tmp_path, data)
    server = FakeSkyPilot()
    submitter = FakeSubmitter(server)
    done = cancel(open_study(data), FIRED, submitter, SkyPilotQueue(server), clock=server.time)
    assert done.sentences() == [f"{NAME} is a replay: recorded, but nothing was sent to SkyPilot"]
    assert (submitter.cancelled, server.now_s) == ([], 0)
    events = written_events(stores(data)[0], "cancel_requested", "cancel")
    assert [(each["event"], each["job_ids"], each["dry_run"]) for each in events] == [
        ("cancel_requested", WAITING, True),
        ("cancel", WAITING, True),
    ]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("sam3-9", f"{NAME} has no condition 'sam3-9'; did you mean"),
        ("modle=sam3", "unknown factor 'modle' in modle=sam3; did you mean 'model'"),
        ("state=runing", "unknown state 'runing' in state=runing; did you mean 'running'"),
        ("burst-2026", "burst-2026 is an experiment, not a condition; use -e burst-2026"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(fired, word, sentence):
    with pytest.raises(ConfigError) as fault:
        fired.proposed(CancelRequest(selections=(word,), by="anna"))
    assert sentence in str(fault.value)


@pytest.mark.slow
def test_a_state_is_a_selection_and_is_that_of_the_first_look(fired):
    """Jobs that are cancelled are running no more, and still waited for; others that start are not meant."""
    wish = CancelRequest(selections=("state=pending",), by="anna")
    assert [target.condition_id for target in fired.proposed(wish).targets] == ["sam3-3", "sam3-4"]
    fired.fly("sam3-4", seconds=20)
    done = fired.cancel(wish)
    assert fired.submitter.cancelled[:2] == WAITING
    assert {target.condition_id for target in done.targets} == {"sam3-3", "sam3-4"}
    assert len(done.targets) == 3
    assert done.fault() is None


@pytest.mark.slow
def test_a_state_in_which_no_condition_is_cancels_nothing(fired):
    done = fired.cancel(CancelRequest(selections=("state=lost",), by="anna"))
    assert (done.targets, fired.submitter.cancelled) == ([], [])


def test_while_it_waits_it_reports_how_many_jobs_have_ended(fired):
    said = []
    study = open_study(fired.data, None)
    cancel(study, FIRED, fired.submitter, fired.queue, clock=fired.clock, progress=said.append)
    assert said[0] == f"cancelling: 0 of {len(WAITING)} jobs ended"
    assert all(re.fullmatch(rf"cancelling: \d+ of {len(WAITING)} jobs ended", each) for each in said)
