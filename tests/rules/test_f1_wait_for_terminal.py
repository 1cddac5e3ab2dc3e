"""Rule F1 as a decision: what it refuses, whom it names, and what lifts it."""

import pytest

from fmon.errors import RuleError
from fmon.events import CycleAuthorizedEvent, UnknownEvent
from fmon.rules.f1_wait_for_terminal import UnfinishedCondition, f1_is_lifted, f1_wait_for_terminal
from tests.support.events import FIRING


def condition(name: str, job_id: int | None, state: str, status: str | None) -> UnfinishedCondition:
    return UnfinishedCondition(name, job_id, state, status)


def test_refuses_with_21_and_names_condition_job_and_status():
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
def test_a_job_that_is_not_known_to_have_ended_is_open(state, status, told):
    with pytest.raises(RuleError, match=f"job 7, {told}"):
        f1_wait_for_terminal([condition("c", 7, state, status)])


def test_missing_conditions_do_not_block():
    f1_wait_for_terminal([condition("c1", None, "missing", None)])
    f1_wait_for_terminal([])


def test_missing_conditions_are_named_if_something_else_blocks():
    with pytest.raises(RuleError, match=r"never launched, which blocks nothing: c1\."):
        f1_wait_for_terminal(
            [condition("c1", None, "missing", None), condition("c2", 2, "pending", "PENDING")]
        )


def test_of_thousands_five_are_named_and_the_rest_counted():
    rows = (condition(f"c{number}", number, "running", "RUNNING") for number in range(2_000))
    with pytest.raises(RuleError, match=r"2,000 jobs are still open: .* and 1,995 more") as refusal:
        f1_wait_for_terminal(rows)
    assert len(str(refusal.value)) < 500


def test_a_firing_of_this_cycle_lifts_f1():
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
def test_nothing_else_lifts_f1(events):
    assert not f1_is_lifted(events, 1)
