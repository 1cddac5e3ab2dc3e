"""The rounds of a watch: when one is due, what it says, and when nothing more is submitted."""

from datetime import timedelta

import pytest

from fmon.errors import ConfigError, LaunchError
from fmon.launch.dispatch import AnotherLauncher
from fmon.launch.outcome import DispatchOutcome, Launched
from fmon.launch.rounds import Rounds
from fmon.model import LaunchLimits
from fmon.monitor.queued import Queued
from tests.support.fake_skypilot import START, FakeSkyPilot

NO_QUOTA = DispatchOutcome(queued={"a": "no quota", "b": "no quota"})
TWO = Queued(count=2, config_file="e.yaml", until=START + timedelta(hours=2))


class Trial:
    """Rounds whose launches end as given."""

    def __init__(self, *ends, before=NO_QUOTA):
        self.server = FakeSkyPilot()
        self.ends = list(ends)
        self.left_out = []
        self.rounds = Rounds(submit=self.submit, clock=self.server.time, outcome=before)

    def submit(self, leave_out):
        self.left_out.append(leave_out)
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return Launched(
            experiment_id="e",
            is_new=False,
            is_dry=False,
            condition_count=3,
            had_count=1,
            dispatched=end,
            limits=LaunchLimits(give_up_after_s=7200),
        )

    def poll(self, seconds=300, queued=TWO, *, has_fired=False):
        self.server.pass_time(seconds)
        return self.rounds.after_poll(queued, has_fired=has_fired)


def test_a_round_is_due_every_five_minutes_and_the_launch_before_was_one():
    trial = Trial(NO_QUOTA, DispatchOutcome(launched={"a": 1, "b": 2}))
    seen = [(trial.poll(60), len(trial.left_out)) for _ in range(10)]
    assert seen == [(False, 0)] * 4 + [(False, 1)] * 5 + [(True, 2)]


def test_a_longer_backoff_is_the_interval_of_the_rounds():
    trial = Trial(NO_QUOTA)
    trial.rounds.limits = LaunchLimits(backoff_s=600)
    trial.rounds._schedule()
    assert [len(trial.left_out) for _ in range(2) if not trial.poll(300)] == [0, 1]


def test_the_sentence_names_the_reason_and_stays_the_same_while_nothing_changes():
    trial = Trial(NO_QUOTA, NO_QUOTA)
    said = "2 not submitted (no quota), trying every 5 min 00 s until 2026-03-22 07:00:00 UTC"
    for _ in range(3):
        assert trial.rounds.sentence(TWO) == said
        trial.poll(250)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("nothing was launched: about 30.00 USD"), "nothing was launched: about 30.00 USD"),
        (AnotherLauncher("locked"), "another fmon is submitting"),
    ],
)
def test_a_round_that_may_not_launch_says_why_until_one_may(error, said):
    trial = Trial(error, NO_QUOTA)
    assert not trial.poll()
    assert trial.rounds.sentence(TWO) == f"2 not submitted: {said}"
    trial.poll()
    assert "no quota" in trial.rounds.sentence(TWO)


def test_what_was_refused_permanently_is_left_out_of_every_later_round():
    mixed = DispatchOutcome(queued={"a": "no quota"}, failed={"b": "no such region"})
    trial = Trial(mixed, NO_QUOTA, before=DispatchOutcome(failed={"c": "no"}, queued={"a": "no quota"}))
    trial.poll()
    trial.poll()
    assert trial.left_out == [{"c"}, {"b", "c"}]


def test_when_the_time_is_over_it_gives_up_and_says_so():
    trial = Trial(NO_QUOTA)
    trial.poll()
    assert not trial.poll(7200)
    assert trial.left_out == [frozenset()]
    said = "2 not submitted: gave up after 2 h 00 min; next: fmon launch e.yaml"
    assert trial.rounds.sentence(TWO) == said
    with pytest.raises(LaunchError, match="2 conditions stay queued: a, b \\(gave up after 2 h 00 min;"):
        trial.rounds.require_all("fmon launch e.yaml", ["a", "b"])


def test_once_the_kill_switch_has_fired_nothing_is_submitted():
    trial = Trial()
    assert not trial.poll(has_fired=True)
    assert "the kill switch has fired; next: fmon launch e.yaml" in trial.rounds.sentence(TWO)


def test_with_nothing_queued_nothing_is_submitted_or_said():
    trial = Trial()
    refused = Queued(count=2, config_file="e.yaml", until=None)
    assert not trial.poll(queued=None)
    assert not trial.poll(queued=refused)
    assert trial.rounds.sentence(None) is None
    assert trial.rounds.sentence(refused) == "2 not submitted; next: fmon launch e.yaml"


def test_the_error_in_the_end_is_only_about_conditions_that_have_no_job():
    before = DispatchOutcome(uncertain={"a": "cut off"}, failed={"b": "no"}, queued={"c": "no quota"})
    trial = Trial(before=before)
    trial.rounds.require_all("fmon launch e.yaml", [])
    with pytest.raises(LaunchError, match="1 condition could not be launched: b \\(no\\); run fmon launch"):
        trial.rounds.require_all("fmon launch e.yaml", ["b"])
