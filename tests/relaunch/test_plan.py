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
def test_within_the_budget_there_is_no_warning(estimate, spent, unpriced_count, budget):
    assert over_budget(estimate, spent, unpriced_count, budget) is None


@pytest.mark.parametrize(
    ("estimate", "spent", "unpriced_count", "budget", "expected"),
    [
        (
            "0.29",
            "7.83",
            0,
            5,
            "cycle 1 costs about $0.29 on top of $7.83 spent so far: $8.12 in total; limits.budget_usd is 5",
        ),
        (
            "0.29",
            "1.00",
            2,
            5,
            "cycle 1 costs about $0.29 on top of $1.00 spent so far and 2 jobs of unknown cost: at least "
            "$1.29 in total; limits.budget_usd is 5",
        ),
        (
            None,
            "1.00",
            0,
            5,
            "cycle 1 has an unknown cost on top of $1.00 spent so far: at least $1.00 in total; "
            "limits.budget_usd is 5",
        ),
        (
            "12.01",
            "8.00",
            0,
            None,
            "cycle 1 costs about $12.01 on top of $8.00 spent so far: $20.01 in total; limits.budget_usd "
            "is not set: fmon asks above $20.00",
        ),
    ],
)
def test_both_sums_are_named_if_the_budget_is_exceeded_or_may_be(
    estimate, spent, unpriced_count, budget, expected
):
    assert over_budget(estimate, spent, unpriced_count, budget) == expected
