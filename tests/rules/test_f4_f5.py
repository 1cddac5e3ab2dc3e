"""Rules F4 and F5 as decisions: which cycle needs a person, and what the manifest fails to track."""

from decimal import Decimal

import pytest

from fmon.errors import RuleError
from fmon.rules.f4_max_two_cycles import f4_max_two_cycles
from fmon.rules.f5_factorial_manifest import (
    TrackedAttempt,
    f5_config_faults,
    f5_factorial_manifest,
    f5_faults,
)

USD = Decimal


def f4(cycle, budgets=None, estimate_usd=None):
    f4_max_two_cycles(cycle, most=2, budgets=budgets or {}, estimate_usd=estimate_usd)


def faults(**changed):
    tracked = {
        "configured": ["a", "b"],
        "expected_count": 2,
        "attempts": [attempt("a", 1), attempt("b", 2)],
        "duplicates": [],
        **changed,
    }
    in_config = f5_config_faults(tracked["configured"], ["a", "b"], expected_count=tracked["expected_count"])
    return in_config + f5_faults(tracked["attempts"], tracked["duplicates"])


def attempt(condition_id, job_id, *, cycle=0, is_known=True):
    return TrackedAttempt(condition_id, cycle, job_id, is_known)


class TestF4:
    @pytest.mark.parametrize("cycle", [1, 2])
    def test_two_relaunches_need_nobody(self, cycle):
        f4(cycle)

    def test_a_third_is_refused_with_24_and_says_how_a_person_lets_it_pass(self):
        with pytest.raises(RuleError, match="--authorize-cycle 3 --budget USD") as refusal:
            f4(3)
        assert refusal.value.exit_code == 24

    def test_a_person_lets_exactly_that_cycle_pass(self):
        f4(3, {3: USD(5)}, USD(5))
        with pytest.raises(RuleError, match="number 4"):
            f4(4, {3: USD(5)})

    def test_not_one_that_will_cost_more_than_was_authorized(self):
        with pytest.raises(RuleError, match=r"authorized for \$5\.00 and will cost about \$5\.01"):
            f4(3, {3: USD(5)}, USD("5.01"))

    def test_an_unknown_cost_is_no_reason_to_refuse_what_a_person_allowed(self):
        f4(3, {3: USD(5)}, None)


class TestF5:
    def test_what_is_tracked_passes(self):
        assert faults() == []
        f5_factorial_manifest([])

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"configured": ["a", "b", "c"]}, "the manifest lacks c of the config"),
            ({"configured": ["a"]}, "the config lacks b of the manifest"),
            ({"expected_count": 3}, "3 jobs are expected, but 2 conditions are tracked"),
            (
                {"attempts": [attempt("a", 1, is_known=False)]},
                r"no poll has shown a \(job 1, cycle 0\)",
            ),
            ({"duplicates": [attempt("b", 9, cycle=1)]}, r"is open: b \(job 9, cycle 1\); cancel one"),
        ],
    )
    def test_what_is_not_is_refused_with_25(self, changed, told):
        with pytest.raises(RuleError, match=told) as refusal:
            f5_factorial_manifest(faults(**changed))
        assert refusal.value.exit_code == 25
