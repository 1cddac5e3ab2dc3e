"""Rule F2 as a decision: whom it names, and what is diagnosed enough."""

import pytest

from fmon.errors import RuleError
from fmon.rules.f2_aggregate_before_fix import FailedAttempt, f2_aggregate_before_fix


def failure(name: str, job_id: int, root_cause_id: str) -> FailedAttempt:
    return FailedAttempt(name, job_id, job_id, root_cause_id)


def test_refuses_with_22_and_names_the_unexamined_attempts():
    with pytest.raises(RuleError) as refusal:
        f2_aggregate_before_fix([failure("c1", 1, "cuda_oom"), failure("c2", 2, "unknown/unexamined")])
    assert refusal.value.exit_code == 22
    assert "1 failed attempt has no root cause: c2 (job 2)." in str(refusal.value)


def test_unknown_is_a_cause_like_any_other():
    f2_aggregate_before_fix([failure("c1", 1, "unknown/RuntimeError/0badc0de")])
