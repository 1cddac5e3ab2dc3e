"""The kill switch as a decision: what fires, what it is blamed on, and whom it may propose."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.rules.kill_switch import CycleJob, is_past, kill_switch, names_an_error, too_many_failed

NOON = datetime(2026, 3, 22, 12, tzinfo=UTC)
MODELS, FOLDS = ["dynunet", "sam3", "it's ; \x1b[2J<b>"], ["0", "1", "2"]
CONDITIONS = [{"model": model, "fold": fold, "loss": "dice"} for model in MODELS for fold in FOLDS]


def job(job_id, model="sam3", fold="0", *, state="open", reach=None, minute=0.0, **more):
    """One attempt: ``reach`` is how long it ran [s], None = it never started."""
    columns = {
        "condition_id": f"{model}-{fold}",
        "job_id": job_id,
        "cycle": 0,
        "factors": {"model": model, "fold": fold, "loss": "dice"},
        "is_open": state == "open",
        "is_failed": state == "failed",
        "has_succeeded": state == "succeeded",
        "has_started": reach is not None,
        "longest_run_s": reach,
        "duration_s": reach if state != "open" else None,
        "end_at": None if state == "open" else NOON + timedelta(minutes=minute),
        "signature": "abc" if state == "failed" else None,
        "category": "code" if state == "failed" else None,
        "source": "log" if state == "failed" else None,
        **more,
    }
    columns.setdefault("job_key", columns["job_id"])
    return CycleJob(**columns)


def failures(*minutes, reach=100.0, **more):
    return [
        job(number, fold=FOLDS[number % 3], state="failed", reach=reach, minute=minute, **more)
        for number, minute in enumerate(minutes, start=1)
    ]


def fire(jobs, fired=()):
    return kill_switch(jobs, CONDITIONS, fired)


@pytest.mark.parametrize(
    ("minutes", "members"),
    [
        ((0, 1), []),
        ((0, 1, 5), [[1, 2, 3]]),
        ((0, 1, 5.01), []),
        ((0, 4, 6, 8), [[2, 3, 4]]),
        ((0, 0, 0, 9, 9, 9), [[1, 2, 3], [4, 5, 6]]),
        ((0, 1, 2, 3, 4, 5, 6), [[1, 2, 3, 4, 5, 6]]),
    ],
)
def test_three_identical_failures_within_five_minutes_fire(minutes, members):
    assert [firing.member_job_ids for firing in fire(failures(*minutes))] == members


def test_different_errors_are_counted_separately():
    three = failures(0, 1, 2)
    three[1] = msgspec.structs.replace(three[1], signature="def")
    assert fire(three) == []


def test_a_job_is_in_only_one_firing():
    jobs = failures(0, 1, 2, 3)
    assert fire(jobs, {1, 2}) == []
    assert fire(jobs, {1, 2, 3, 4}) == []


@pytest.mark.parametrize(
    ("source", "category", "counts"),
    [
        ("log", "unknown", True),
        ("controller_log", "resources", True),
        ("failure_reason", "resources", True),
        ("failure_reason", "unknown", False),
        ("status", "infrastructure", False),
        (None, "unknown", False),
    ],
)
def test_unknown_errors_without_a_log_are_not_identical(source, category, counts):
    jobs = failures(0, 1, 2, source=source, category=category)
    assert [names_an_error(each) for each in jobs] == [counts] * 3
    assert bool(fire(jobs)) is counts


def test_pending_jobs_with_the_shared_levels_are_proposed():
    others = [job(7), job(8, reach=40.0), job(9, "dynunet"), job(10, "dynunet", "1", reach=900.0)]
    (firing,) = fire(failures(0, 1, 2) + others)
    assert firing.combination == {"model": "sam3"}
    assert firing.failure_point_s == 100
    assert firing.candidate_job_ids == [7, 8]
    assert firing.no_action_reason is None


def test_a_job_beyond_the_failure_point_is_evidence_against_all():
    (firing,) = fire([*failures(0, 1, 2), job(7), job(8, fold="1", reach=101.0)])
    assert firing.candidate_job_ids == []
    assert "model=sam3 is not to blame: sam3-1 (job 8)" in firing.no_action_reason


def test_a_success_with_these_levels_is_evidence_against_all():
    (firing,) = fire([*failures(0, 1, 2), job(7), job(8, state="succeeded", reach=3.0)])
    assert firing.candidate_job_ids == []


def test_a_late_failure_of_the_same_error_is_not_evidence_against_it():
    late = job(6, state="failed", reach=130.0, minute=40)
    (firing,) = fire([*failures(0, 1, 2), late, job(7)])
    assert firing.candidate_job_ids == [7]


def test_failures_that_never_started_propose_only_jobs_that_never_started():
    never = failures(0, 1, 2, reach=None)
    (firing,) = fire([*never, job(7)])
    assert (firing.failure_point_s, firing.candidate_job_ids) == (0, [7])
    (firing,) = fire([*never, job(7), job(8, reach=0.0)])
    assert firing.candidate_job_ids == []


def test_a_run_of_unknown_length_counts_as_beyond_the_failure_point():
    assert is_past(job(1, reach=5.0, longest_run_s=None), 100)


def test_without_shared_levels_all_jobs_are_proposed_only_if_none_got_further():
    mixed = [job(1, "dynunet", "0", state="failed", reach=9.0), *failures(0, 1, 2)[1:]]
    (firing,) = fire([*mixed, job(7, "dynunet", "2")])
    assert (firing.combination, firing.candidate_job_ids) == ({}, [7])
    (firing,) = fire([*mixed, job(7, "dynunet", "2"), job(8, "dynunet", "1", reach=500.0)])
    assert firing.candidate_job_ids == []
    assert firing.no_action_reason.startswith("any combination is not to blame")


def test_if_no_job_is_open_it_fires_and_says_so():
    (firing,) = fire(failures(0, 1, 2))
    assert firing.no_action_reason == "no job of model=sam3 is open before the failure point"


@pytest.mark.parametrize(("ratio", "fires"), [(None, False), (0.3, True), (1 / 3, False), (0.5, False)])
def test_too_many_failed_means_above_the_ratio(ratio, fires):
    jobs = [*failures(0, 9, 30), job(7), job(8, reach=1.0)]
    found = too_many_failed(jobs, condition_count=9, max_failed_ratio=ratio)
    assert (found is not None) is fires
    if found:
        assert found.candidate_job_ids == [7]
        assert found.member_job_ids == [1, 2, 3]


drawn = st.builds(
    job,
    st.integers(1, 40),
    st.sampled_from(MODELS),
    st.sampled_from(FOLDS),
    state=st.sampled_from(["open", "failed", "failed", "succeeded"]),
    reach=st.none() | st.floats(0, 300),
    minute=st.floats(0, 12),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(drawn, max_size=20, unique_by=lambda row: row.job_id))
def test_no_firing_proposes_a_job_that_works(jobs):
    by_id = {each.job_id: each for each in jobs}
    firings = fire(jobs)
    members = [job_id for firing in firings for job_id in firing.member_job_ids]
    assert len(members) == len(set(members))
    assert fire(jobs, members) == []
    for firing in firings:
        ends = [by_id[job_id].end_at for job_id in firing.member_job_ids]
        assert len(ends) >= 3
        assert max(ends) - min(ends) <= timedelta(minutes=5)
        assert bool(firing.candidate_job_ids) is (firing.no_action_reason is None)
        proposed = {tuple(by_id[job_id].factors.items()) for job_id in firing.candidate_job_ids}
        for job_id in firing.candidate_job_ids:
            assert by_id[job_id].is_open
            assert not is_past(by_id[job_id], firing.failure_point_s)
            assert firing.combination.items() <= by_id[job_id].factors.items()
        assert not proposed & {tuple(each.factors.items()) for each in jobs if each.has_succeeded}
