"""What a relaunch says about the budget."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from fmon.model import Limits
from fmon.relaunch.plan import RelaunchPlan, Spent


def over_budget(estimate, spent, unpriced_count, budget):
    """Return the sentence of a plan; amounts in USD, None = unknown."""
    plan = RelaunchPlan(
        experiment_id="study",
        cycle=1,
        is_resumed=False,
        jobs=[],
        left_out=[],
        unselected=[],
        not_candidates=[],
        unfixed=[],
        estimate_usd=None if estimate is None else Decimal(estimate),
        spent=Spent(None if spent is None else Decimal(spent), unpriced_count),
        experiment=SimpleNamespace(limits=Limits(budget_usd=budget)),
        task=None,
        environment=None,
        conditions={},
    )
    return plan.over_budget()


@pytest.mark.parametrize(
    ("estimate", "spent", "unpriced_count", "budget"),
    [
        ("0.29", "4.71", 0, 5),
        ("4.00", None, 0, 5),
        ("12.00", "8.00", 0, None),
        (None, "8.00", 3, None),
    ],
)
def test_within_the_budget_nothing_is_said(estimate, spent, unpriced_count, budget):
    assert over_budget(estimate, spent, unpriced_count, budget) is None


@pytest.mark.parametrize(
    ("estimate", "spent", "unpriced_count", "budget", "said"),
    [
        (
            "0.29",
            "7.83",
            0,
            5,
            "cycle 1 for about $0.29, after $7.83 spent so far, makes $8.12; limits.budget_usd is 5",
        ),
        (
            "0.29",
            "1.00",
            2,
            5,
            "cycle 1 for about $0.29, after $1.00 spent so far and 2 jobs of unknown cost, makes at least "
            "$1.29; limits.budget_usd is 5",
        ),
        (
            None,
            "1.00",
            0,
            5,
            "cycle 1 of unknown cost, after $1.00 spent so far, makes at least $1.00; limits.budget_usd is 5",
        ),
        (
            "12.01",
            "8.00",
            0,
            None,
            "cycle 1 for about $12.01, after $8.00 spent so far, makes $20.01; limits.budget_usd is not set: "
            "fmon asks above $20.00",
        ),
    ],
)
def test_beyond_it_or_if_that_is_unknown_both_sums_are_named(estimate, spent, unpriced_count, budget, said):
    assert over_budget(estimate, spent, unpriced_count, budget) == said
