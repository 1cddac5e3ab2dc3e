"""Rule F5 as a decision: what the manifest does not track."""

import pytest

from fmon.errors import RuleError
from fmon.rules.f5_factorial_manifest import (
    TrackedAttempt,
    f5_config_faults,
    f5_factorial_manifest,
    f5_faults,
)


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


def test_tracked_conditions_and_jobs_pass():
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
            r"no poll has listed a \(job 1, cycle 0\)",
        ),
        ({"duplicates": [attempt("b", 9, cycle=1)]}, r"is open: b \(job 9, cycle 1\); cancel one"),
    ],
)
def test_untracked_conditions_and_jobs_are_refused_with_25(changed, told):
    with pytest.raises(RuleError, match=told) as refusal:
        f5_factorial_manifest(faults(**changed))
    assert refusal.value.exit_code == 25
