"""fmon cancel as typed, and fmon watch where the config lets it act."""

import json

import pytest

from fmon.errors import ConfigError, QueueError
from tests.support.bursts import CONFIG, burst, queue_of
from tests.support.cancelling import NAME, WAITING, Adopted

pytestmark = pytest.mark.slow

ACT = CONFIG + "kill_switch: act\n"


@pytest.fixture
def typed(tmp_path):
    """Type a command against the fake SkyPilot; give the result."""

    def make(jobs, config=CONFIG):
        study = Adopted(tmp_path, jobs, config)

        def run(*words):
            return study.type(*words, "--data", study.data)

        run.study = study
        return run

    return make


def test_a_dry_run_prints_the_jobs_and_the_reason(typed):
    run = typed(burst())
    asked = run.study.seat()
    done = run("cancel", "--kill-switch", "--dry-run", "--yes", "-o", "json")
    assert (done.exit_code, asked) == (0, [])
    assert json.loads(done.stdout)[0] == {
        "condition_id": "sam3-3",
        "job_id": 9,
        "status": "PENDING",
        "reason": "3 jobs failed with the identical error (import_error) at model=sam3",
    }
    assert done.stderr == f"{NAME}: 2 jobs would be cancelled; nothing was changed\n"
    assert run.study.submitter.cancelled == []


def test_without_a_terminal_it_shows_the_jobs_and_does_nothing(typed):
    run = typed(burst())
    done = run("cancel", "--kill-switch")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "no terminal to ask on; use --yes to cancel or --dry-run to preview"
    assert "sam3-3" in done.stderr
    assert (done.stdout, run.study.submitter.cancelled) == ("", [])


@pytest.mark.slow
def test_on_a_terminal_it_asks_and_cancels_if_the_answer_is_yes(typed):
    run = typed(burst())
    asked = run.study.seat(True)
    done = run("cancel", "--kill-switch", "--by", "anna", "-o", "json")
    assert done.exit_code == 0, done.exception
    assert asked == ["Cancel 2 jobs?"]
    assert len(json.loads(done.stdout)) == 2
    assert run.study.submitter.cancelled == WAITING
    assert {event["by"] for event in run.study.events("cancel_requested", "cancel")} == {"anna"}


def test_if_the_answer_is_no_nothing_is_cancelled(typed):
    run = typed(burst())
    run.study.seat(False)
    assert str(run("cancel", "--kill-switch").exception) == "nothing was cancelled: you answered no"
    assert run.study.submitter.cancelled == []


def test_with_nothing_to_cancel_it_does_not_ask(typed):
    run = typed(burst())
    asked = run.study.seat()
    done = run("cancel", "state=lost")
    assert (done.exit_code, asked) == (0, [])
    assert "nothing to cancel" in done.stderr


@pytest.mark.slow
def test_yes_cancels_and_ends_the_submitter(typed):
    run = typed(burst())
    done = run("cancel", "--kill-switch", "--yes")
    assert (done.exit_code, done.stderr.splitlines()) == (
        0,
        [
            "asking SkyPilot to cancel; it takes up to a minute per job",
            "cancelling: 0 of 2 jobs ended",
            f"{NAME}: 2 jobs have ended",
        ],
    )
    assert run.study.submitter.cancelled == WAITING
    assert run.study.submitter.is_closed


@pytest.mark.slow
def test_remaining_jobs_are_exit_code_11(typed, monkeypatch):
    run = typed(burst())
    monkeypatch.setattr(run.study.server, "cancel", lambda job_ids: None)
    done = run("cancel", "model=sam3", "fold=3", "--yes")
    assert isinstance(done.exception, QueueError)
    assert done.exception.exit_code == 11


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing is selected"),
        (["--kill-switch", "sam3-3"], "leave out sam3-3"),
        (["sam3-3", "--reason", "x"], "--reason can only be used with --lost"),
        (["--lost", "--kill-switch"], "--lost closes jobs, --kill-switch cancels them"),
        (["--lost", "sam3-3", "--reason", "x", "--yes"], "sam3-3 (PENDING)"),
    ],
)
def test_an_ambiguous_call_is_refused_with_the_command_to_type(typed, words, sentence):
    run = typed(burst())
    done = run("cancel", *words)
    assert isinstance(done.exception, ConfigError)
    assert sentence in str(done.exception)
    assert run.study.events("cancel_requested", "lost_job_closed") == []


def ending(study):
    """Let the fake's running and waiting jobs succeed soon, so that watch ends."""
    for record in study.server.jobs:
        if record["job_name"].startswith("dynunet"):
            study.server.at(study.server.now_s + 300, lambda record=record: record.update(status="SUCCEEDED"))


@pytest.mark.slow
def test_watch_cancels_if_the_config_says_so_and_continues(typed):
    run = typed(burst(), ACT)
    ending(run.study)
    done = run("watch", "--exit-status")
    assert done.exit_code == 4, done.exception
    assert f"the kill switch acted: {NAME}: 2 jobs have ended" in done.stdout
    assert run.study.submitter.cancelled == WAITING
    assert [event["by"] for event in run.study.events("cancel_requested")] == ["fmon watch"]


@pytest.mark.slow
def test_watch_only_alerts_by_default(typed):
    run = typed(burst())
    for record in run.study.server.jobs:
        run.study.server.at(run.study.server.now_s + 100, lambda record=record: end(record))
    done = run("watch", "--exit-status")
    assert done.exit_code == 4
    assert run.study.submitter.cancelled == []
    assert "fmon cancel --kill-switch -e" in done.stdout


def end(record):
    if not record["status"].startswith("FAILED"):
        record["status"] = "SUCCEEDED"


@pytest.mark.slow
def test_a_watch_that_could_not_cancel_says_so_and_retries(typed, monkeypatch):
    run = typed(burst(), ACT)
    ending(run.study)
    listed, asked = run.study.submitter.in_flight, []

    def away_once():
        asked.append(1)
        if len(asked) == 1:
            raise QueueError("the request list is away", error_type="Timeout")
        return listed()

    monkeypatch.setattr(run.study.submitter, "in_flight", away_once)
    done = run("watch")
    assert "the kill switch could not act; the next poll tries again: the request list is away" in done.stdout
    assert run.study.submitter.cancelled == WAITING


@pytest.mark.slow
def test_watch_without_a_firing_uses_no_submitter(typed):
    run = typed(queue_of(), ACT)
    for record in run.study.server.jobs:
        run.study.server.at(run.study.server.now_s + 100, lambda record=record: end(record))
    run.study.submitter = None
    assert run("watch", "--exit-status").exit_code == 0


@pytest.fixture
def lost(typed):
    """sam3-4 has left the queue."""
    run = typed(burst())
    run.study.server.jobs[:] = [job for job in run.study.server.jobs if job["job_name"] != "sam3-4"]
    run.study.poll()
    return run


@pytest.mark.slow
def test_lost_jobs_are_closed_only_after_a_yes_and_with_evidence(lost):
    assert "--lost needs --reason" in str(lost("cancel", "state=lost", "--lost", "--yes").exception)
    asked = lost.study.seat(False, True)
    words = ("cancel", "state=lost", "--lost", "--reason", "the node is gone", "--by", "anna")
    assert str(lost(*words).exception) == "nothing was closed: you answered no"
    assert lost.study.events("lost_job_closed") == []
    done = lost(*words)
    assert (done.exit_code, asked) == (0, ["Close 1 lost job?"] * 2)
    assert [(event["condition_id"], event["by"]) for event in lost.study.events("lost_job_closed")] == [
        ("sam3-4", "anna")
    ]


def test_a_dry_run_shows_what_would_be_closed(lost):
    done = lost("cancel", "state=lost", "--lost", "--dry-run")
    assert done.exit_code == 0
    assert "sam3-4" in done.stdout
    assert "1 lost job would be closed; nothing was changed" in done.stderr


@pytest.mark.slow
def test_a_lost_job_that_is_back_is_not_closed_because_the_queue_is_asked_first(lost):
    lost.study.server.jobs.append(queue_of()[-1])
    done = lost("cancel", "--lost", "--reason", "gone", "--yes")
    assert (done.exit_code, lost.study.events("lost_job_closed")) == (0, [])
    assert "nothing to close" in done.stderr


@pytest.mark.slow
def test_if_the_queue_does_not_answer_what_is_stored_is_closed(lost):
    lost.study.server.is_queue_away = lambda: True
    done = lost("cancel", "--lost", "--reason", "gone", "--yes", "--by", "anna")
    assert (done.exit_code, len(lost.study.events("lost_job_closed"))) == (0, 1)
    assert "as of the last poll: the queue is away" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--yes"], []])
def test_a_job_that_had_ended_and_runs_again_is_cancelled(typed, words):
    run = typed([{**job, "status": "SUCCEEDED", "end_at": job["submitted_at"] + 9} for job in queue_of()])
    run.study.seat(True)
    run.study.record("dynunet-0")["status"] = "RUNNING"
    done = run("cancel", "dynunet-0", *words)
    assert (done.exit_code, run.study.submitter.cancelled) == (0, [1])


@pytest.mark.slow
def test_before_a_cancellation_the_queue_must_answer(typed):
    run = typed(queue_of())
    run.study.server.is_queue_away = lambda: True
    assert run("cancel", "dynunet-0", "--yes").exception.exit_code == 11
    assert run("cancel", "dynunet-0", "--dry-run").exit_code == 0
    assert run.study.submitter.cancelled == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobs", "sentence"),
    [([], "which is empty"), (queue_of()[:1], "Check whether they still run, then close them")],
)
def test_watch_ends_with_a_sentence_when_only_lost_jobs_are_left(typed, jobs, sentence):
    run = typed(queue_of())
    run.study.server.jobs[:] = [{**job, "status": "SUCCEEDED"} for job in jobs]
    done = run("watch", "--exit-status")
    assert done.exit_code == 3
    assert "only lost jobs are left" in done.stderr
    assert sentence in done.stderr
    assert "fmon cancel --lost --reason TEXT -e burst" in done.stderr


@pytest.mark.slow
def test_status_and_watch_show_the_selected_conditions_of_the_entire_experiment(lost):
    done = lost("status", "state=lost", "-o", "json")
    assert [row["condition_id"] for row in json.loads(done.stdout)] == ["sam3-4"]
    shown = lost("status", "model=sam3", "fold=4").stdout
    assert "1 of 10 conditions selected" in shown
    assert "0/10 succeeded, 3 failed, 5 running" in shown
    assert "dynunet-0" not in shown
    assert lost("status", "state=lost", "--exit-status").exit_code == 5
    assert "use -e burst" in str(lost("watch", "burst").exception)
