"""Rule F4 as a decision: which cycle needs a person."""

from decimal import Decimal

import pytest

from fmon.errors import RuleError
from fmon.rules.f4_max_two_cycles import f4_max_two_cycles

USD = Decimal


def f4(cycle, budgets=None, estimate_usd=None):
    f4_max_two_cycles(cycle, max_cycles=2, budgets=budgets or {}, estimate_usd=estimate_usd)


@pytest.mark.parametrize("cycle", [1, 2])
def test_two_relaunches_need_no_authorization(cycle):
    f4(cycle)


def test_a_third_is_refused_with_24_and_says_how_to_authorize_it():
    with pytest.raises(RuleError, match="--authorize-cycle 3 --budget USD") as refusal:
        f4(3)
    assert refusal.value.exit_code == 24


def test_an_authorization_allows_exactly_that_cycle():
    f4(3, {3: USD(5)}, USD(5))
    with pytest.raises(RuleError, match="number 4"):
        f4(4, {3: USD(5)})


def test_a_cycle_that_costs_more_than_authorized_is_refused():
    with pytest.raises(RuleError, match=r"authorized for \$5\.00 but will cost about \$5\.01"):
        f4(3, {3: USD(5)}, USD("5.01"))


def test_an_authorized_cycle_of_unknown_cost_is_allowed():
    f4(3, {3: USD(5)}, None)
