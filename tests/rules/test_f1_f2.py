"""The rules as decisions: what they refuse, whom they name, and what lifts them."""

import pytest

from fmon.errors import RuleError
from fmon.events import CycleAuthorizedEvent, UnknownEvent
from fmon.rules.f1_wait_for_terminal import UnfinishedCondition, f1_is_lifted, f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import FailedAttempt, f2_aggregate_before_fix
from tests.support.events import FIRING


def condition(name: str, job_id: int | None, state: str, status: str | None) -> UnfinishedCondition:
    return UnfinishedCondition(name, job_id, state, status)


def failure(name: str, job_id: int, root_cause_id: str) -> FailedAttempt:
    return FailedAttempt(name, job_id, root_cause_id)


class TestF1:
    def test_refuses_with_21_and_names_condition_job_and_status(self):
        with pytest.raises(RuleError) as refusal:
            f1_wait_for_terminal([condition("sam3-0", 7, "running", "RECOVERING")])
        assert refusal.value.exit_code == 21
        assert refusal.value.rule == 1
        assert "F1: 1 job is still open: sam3-0 (job 7, RECOVERING)" in str(refusal.value)

    @pytest.mark.parametrize(
        ("state", "status", "told"),
        [
            ("lost", "RUNNING", "lost, was RUNNING"),
            ("pending", None, "not seen yet"),
            ("running", "HIBERNATING", "HIBERNATING"),
        ],
    )
    def test_a_job_that_nobody_knows_to_have_ended_is_open(self, state, status, told):
        with pytest.raises(RuleError, match=f"job 7, {told}"):
            f1_wait_for_terminal([condition("c", 7, state, status)])

    def test_missing_conditions_do_not_block(self):
        f1_wait_for_terminal([condition("c1", None, "missing", None)])
        f1_wait_for_terminal([])

    def test_missing_conditions_are_named_where_something_else_blocks(self):
        with pytest.raises(RuleError, match=r"never launched, which blocks nothing: c1\."):
            f1_wait_for_terminal(
                [condition("c1", None, "missing", None), condition("c2", 2, "pending", "PENDING")]
            )

    def test_of_thousands_five_are_named_and_the_others_counted(self):
        rows = (condition(f"c{number}", number, "running", "RUNNING") for number in range(2_000))
        with pytest.raises(RuleError, match=r"2,000 jobs are still open: .* and 1,995 more") as refusal:
            f1_wait_for_terminal(rows)
        assert len(str(refusal.value)) < 500


class TestKillSwitch:
    def test_a_firing_of_this_cycle_lifts_f1(self):
        assert f1_is_lifted([UnknownEvent(content={}), FIRING], 0)

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [FIRING],
            [UnknownEvent(content={"event": "x", "cycle": 1})],
            [CycleAuthorizedEvent(at=FIRING.at, cycle=1, budget_usd=1.0, by="ada")],
        ],
    )
    def test_nothing_else_does(self, events):
        assert not f1_is_lifted(events, 1)


class TestF2:
    def test_refuses_with_22_and_names_the_attempts_that_nobody_examined(self):
        with pytest.raises(RuleError) as refusal:
            f2_aggregate_before_fix([failure("c1", 1, "cuda_oom"), failure("c2", 2, "unknown/unexamined")])
        assert refusal.value.exit_code == 22
        assert "1 failed attempt is without a root cause: c2 (job 2)." in str(refusal.value)

    def test_unknown_is_a_cause_like_any_other(self):
        f2_aggregate_before_fix([failure("c1", 1, "unknown/RuntimeError/0badc0de")])
