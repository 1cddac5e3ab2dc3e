"""fmon launch --watch and fmon run keep submitting queued conditions, on the fake SkyPilot."""

import json
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

import pytest

import fmon.launch.launch
from fmon.errors import LaunchError
from fmon.launch.dispatch import exclusive
from fmon.manifest.file import read_manifest
from fmon.model import Price
from tests.support.batch import Batch
from tests.support.death import Killed
from tests.support.fake_skypilot import FINE, NO_QUOTA, START, Fate
from tests.support.launching import CONFIG
from tests.support.queues import NAMES

pytestmark = pytest.mark.slow

HOUR_S = 3600.0
WATCH = ("launch", "project/experiment.yaml", "--yes", "--watch", "--interval", "1500")


class Queueing(Batch):
    """A batch whose launches are refused for a time."""

    def __init__(self, root):
        super().__init__(root)
        self.until_s = HOUR_S
        self.refused = set(NAMES)
        self.fate = self.choose
        self.on_wait = lambda: None

    def choose(self, submission):
        is_refused = self.server.now_s < self.until_s and submission.job_name in self.refused
        return NO_QUOTA if is_refused else FINE

    def wait(self, seconds):
        super().wait(seconds)
        self.on_wait()

    def watch(self):
        return self.type(*WATCH)

    def missing(self):
        return sum(entry.job_id is None for entry in read_manifest(self.store).jobs)

    def assert_once(self, names=NAMES):
        assert Counter(job["job_name"] for job in self.server.jobs) == dict.fromkeys(names, 1)


@pytest.fixture
def batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fmon.launch.launch, "LOCK_WAIT_S", 0.0)
    return Queueing(tmp_path)


def test_without_quota_for_an_hour_the_watch_submits_all_of_it_then(batch):
    done = batch.watch()
    assert done.exit_code == 0, done.output
    batch.assert_once()
    assert HOUR_S < batch.server.now_s < 2.5 * HOUR_S
    assert done.output.count("4 not submitted (ResourcesUnavailableError: no quota for L4), trying") == 1
    assert len(batch.stores) == 1
    launches = batch.events("launch")  # each round is one in the audit
    assert [each["condition_count"] for each in launches] == [4] * 4
    assert len(batch.events("launch_result")) == len(batch.events("launch_intent"))


def test_run_submits_the_rest_and_then_concludes(batch):
    batch.refused = set(NAMES[2:])
    done = batch.run("--interval", "1500")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["experiment_summary"]["succeeded"] == 4
    batch.assert_once()


def test_a_server_that_becomes_unavailable_while_launching_is_asked_again(batch):
    batch.fate = lambda submission: Fate(is_away=batch.server.now_s < 600 and bool(batch.server.jobs))
    batch.write(CONFIG + "launch: {parallel: 1}\n")
    done = batch.watch()
    assert done.exit_code == 0, done.output
    assert "3 not submitted (ApiServerConnectionError: nobody listens), trying" in done.output
    batch.assert_once()


def test_without_a_watch_it_is_15_and_the_next_call_submits_the_rest(batch):
    words = WATCH[:3]
    done = batch.type(*words)
    assert isinstance(done.exception, LaunchError)
    assert "4 conditions stay queued: " in str(done.exception)
    assert "run fmon launch project/experiment.yaml to resume" in str(done.exception)
    batch.server.pass_time(HOUR_S)
    assert batch.type(*words).exit_code == 0
    batch.assert_once()


def test_it_gives_up_after_the_configured_time(batch):
    batch.write(CONFIG + "launch: {give_up_after: 90m}\n")
    batch.until_s, batch.refused = 1e9, set(NAMES[2:])
    done = batch.watch()
    assert isinstance(done.exception, LaunchError)
    assert "2 conditions stay queued: " in str(done.exception)
    assert "gave up after 1 h 30 min" in str(done.exception)
    assert 1.5 * HOUR_S <= batch.server.now_s < 2 * HOUR_S
    assert done.output.count(f"gave up after 1 h 30 min; next: fmon launch {batch.config}") == 1


def test_after_giving_up_the_experiment_stays_open_for_a_day_to_be_resumed(batch):
    batch.write(CONFIG + "launch: {give_up_after: 7d}\n")
    batch.until_s, batch.refused = 7 * 86400, set(NAMES[2:])
    batch.type(*WATCH[:3])
    for job in batch.server.jobs:
        job.update(status="SUCCEEDED", start_at=job["submitted_at"], end_at=batch.clock.now().timestamp())
    batch.poll()
    for seconds in (3 * 86400, 4 * 86400, HOUR_S):
        batch.server.pass_time(seconds)
        batch.poll()
        assert not batch.store.is_closed
    assert batch.type(*WATCH[:3]).exit_code == 0
    assert len(batch.stores) == 1
    batch.assert_once()


def test_what_is_refused_permanently_closes_the_experiment_a_day_later_as_before(batch):
    batch.fate = lambda submission: Fate(makes="refusal") if "sam3" in submission.job_name else FINE
    done = batch.watch()
    assert isinstance(done.exception, LaunchError)
    assert "2 conditions could not be launched" in str(done.exception)
    assert read_manifest(batch.store).submit_until is None
    batch.server.pass_time(25 * HOUR_S)
    batch.poll()
    assert batch.store.is_closed


@contextmanager
def said_once(batch, sentence):
    done = batch.watch()
    yield done
    assert done.output.count(sentence) == 1, done.output


def test_a_budget_that_is_exceeded_in_a_later_round_submits_nothing_and_says_so_once(batch):
    batch.write(CONFIG.replace("prices: {L4: {spot: 0.22, on_demand: 0.70}}\n", "limits: {budget_usd: 5}\n"))
    batch.catalog = lambda names: {
        name: Price(on_demand=9.0 if HOUR_S / 2 < batch.server.now_s < HOUR_S else 1.0, spot=1.0)
        for name in names
    }
    with said_once(batch, "4 not submitted: nothing was launched: about 20.00 USD, limits.budget_usd is 5"):
        pass
    batch.assert_once()


def test_what_the_jobs_have_cost_counts_against_the_budget_of_a_round(batch):
    batch.write(CONFIG + "limits: {budget_usd: 2}\nlaunch: {give_up_after: 2h}\n")
    batch.refused, batch.until_s = set(NAMES[3:]), 1.5 * HOUR_S

    def run_long():
        for job in batch.server.jobs:
            if job["status"] == "SUCCEEDED" and batch.server.now_s < 2 * HOUR_S:
                job.update(status="RUNNING", end_at=None)

    batch.on_wait = run_long
    done = batch.watch()
    assert "limits.budget_usd is 2; use --over-budget to launch 1 job anyway" in done.output
    assert batch.missing() == 1


def test_a_person_who_accepted_the_cost_is_not_asked_again_in_a_round(batch):
    batch.write(CONFIG + "limits: {budget_usd: 1}\n")
    asked = batch.seat(True, True)
    words = [word for word in WATCH if word != "--yes"]
    done = batch.type(*words)
    assert done.exit_code == 0, done.output
    assert len(asked) == 2
    batch.assert_once()


def test_an_image_that_changes_between_rounds_submits_nothing_more(batch):
    batch.refused = set(NAMES[2:])

    def push():
        batch.digest = "sha256:" + "b" * 64

    batch.on_wait = push
    batch.write(CONFIG + "launch: {give_up_after: 2h}\n")
    with said_once(batch, "2 not submitted: small-"):
        pass
    assert batch.missing() == 2
    assert "could not be compared" in batch.watch().exception.args[0]


def test_killed_between_two_rounds_the_next_call_resumes_and_no_job_exists_twice(batch):
    batch.refused, batch.dies_at = set(NAMES[1:]), 3
    with pytest.raises(Killed):
        batch.watch()
    batch.dies_at = None
    done = batch.watch()
    assert done.exit_code == 0, done.output
    assert len(batch.stores) == 1
    batch.assert_once()


def test_killed_within_a_round_the_next_call_resumes_and_no_job_exists_twice(batch):
    sent = []

    def fate(submission):
        sent.append(submission)
        if batch.server.now_s > HOUR_S and len(batch.server.jobs) == 1:
            raise Killed
        return batch.choose(submission)

    batch.fate = fate
    with pytest.raises(Killed):
        batch.watch()
    batch.fate = batch.choose
    batch.server.pass_time(30)
    assert batch.watch().exit_code == 0
    assert len(batch.stores) == 1
    batch.assert_once()


def test_while_another_fmon_launches_it_only_watches_and_submits_later(batch):
    batch.type(*WATCH[:3])
    holding = exclusive(batch.data, "small", wait_s=0)
    holding.__enter__()

    def let_go():
        if batch.waits == 2:
            holding.__exit__(None, None, None)

    batch.on_wait = let_go
    done = batch.watch()
    assert done.exit_code == 0, done.output
    assert "another fmon is launching its jobs; watching" in done.stderr
    assert done.output.count("4 not submitted: another fmon is submitting") == 1
    batch.assert_once()


def test_without_an_experiment_to_watch_another_launcher_is_an_error(batch):
    with exclusive(batch.data, "small", wait_s=0):
        done = batch.watch()
    assert "another fmon is launching jobs of small" in str(done.exception)


def test_after_the_kill_switch_nothing_more_is_submitted(batch):
    names = [f"{model}-{loss}" for model in ("dynunet", "sam3") for loss in "abcd"]
    batch.write(CONFIG.replace("[dice_ce, dice_ce_cldice]", "[a, b, c, d]"))
    batch.failing, batch.refused, batch.until_s = {f"sam3-{loss}" for loss in "abc"}, {"sam3-d"}, 1e9
    done = batch.watch()
    assert isinstance(done.exception, LaunchError)
    assert f"the kill switch has fired; next: fmon launch {batch.config}" in done.output
    batch.assert_once([name for name in names if name != "sam3-d"])


def test_watch_and_status_never_submit_and_name_the_command_that_does(batch):
    batch.refused = set(NAMES[2:])
    batch.type(*WATCH[:3])
    batch.server.pass_time(HOUR_S)
    batch.write(CONFIG + "launch: {give_up_after: 2h}\n")
    said = f"2 not submitted; next: fmon launch {batch.config}"
    batch.dies_at = 2
    with pytest.raises(Killed):  # it goes on while another fmon may submit them
        batch.type("watch", "--interval", "600")
    status = batch.type("status")
    assert said in status.output.splitlines()[-1]
    batch.dies_at = None
    batch.server.pass_time(8 * 86400)
    done = batch.type("watch")
    assert done.exit_code == 0
    # A day after the end of the queue it is closed: a launch would start a new one.
    assert "2 missing" in (last := done.output.splitlines()[-1])
    assert said not in last
    assert len(batch.server.jobs) == 2
    assert read_manifest(batch.store).submit_until == START + timedelta(days=7, seconds=0.5)
