"""Rule F4 as a decision: which cycle needs a person."""

from decimal import Decimal

import pytest

from fmon.errors import RuleError
from fmon.rules.f4_max_two_cycles import f4_max_two_cycles

USD = Decimal


def f4(cycle, budgets=None, estimate_usd=None):
    f4_max_two_cycles(cycle, max_cycles=2, budgets=budgets or {}, estimate_usd=estimate_usd)


@pytest.mark.parametrize("cycle", [1, 2])
def test_two_relaunches_need_nobody(cycle):
    f4(cycle)


def test_a_third_is_refused_with_24_and_says_how_a_person_lets_it_pass():
    with pytest.raises(RuleError, match="--authorize-cycle 3 --budget USD") as refusal:
        f4(3)
    assert refusal.value.exit_code == 24


def test_a_person_lets_exactly_that_cycle_pass():
    f4(3, {3: USD(5)}, USD(5))
    with pytest.raises(RuleError, match="number 4"):
        f4(4, {3: USD(5)})


def test_not_one_that_will_cost_more_than_was_authorized():
    with pytest.raises(RuleError, match=r"authorized for \$5\.00 but will cost about \$5\.01"):
        f4(3, {3: USD(5)}, USD("5.01"))


def test_an_unknown_cost_is_no_reason_to_refuse_what_a_person_allowed():
    f4(3, {3: USD(5)}, None)
