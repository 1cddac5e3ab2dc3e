"""Which job a queue record is about: its id, and when it was submitted."""

import pytest

from fmon.job_key import earlier_count_of, job_id_of, job_key
from fmon.manifest.identity import StoredJob, assume_newest, identify, is_same_job
from fmon.model import Record
from tests.support.stores import manifest

MONDAY, THURSDAY = 1_772_445_600_000_000, 1_772_704_800_000_000
SECOND = 1_000_000
ENDED = StoredJob(1, "a", MONDAY, MONDAY + 20 * SECOND, has_ended=True, is_seen=True)
OPEN = StoredJob(1, "a", MONDAY, None, has_ended=False, is_seen=True)
PENDING = StoredJob(1, "a", None, None, has_ended=False, is_seen=True)


def seen(status: str = "RUNNING", **fields) -> Record:
    return Record(**{"job_id": 1, "job_name": "a", "status": status, **fields})


def test_a_key_contains_the_id_and_sorts_by_age():
    assert job_id_of(job_key(7, 2)) == 7
    assert earlier_count_of(job_key(7, 2)) == 2
    assert job_key(7) == 7 < job_key(7, 1) < job_key(7, 2)


@pytest.mark.parametrize(
    ("stored", "record", "is_same"),
    [
        pytest.param(OPEN, seen(submitted_at=MONDAY), True, id="unchanged"),
        pytest.param(OPEN, seen(submitted_at=MONDAY + SECOND // 2), True, id="rounded"),
        pytest.param(OPEN, seen(submitted_at=THURSDAY), False, id="submitted-again"),
        pytest.param(ENDED, seen(submitted_at=MONDAY + 40 * SECOND), False, id="after-its-end"),
        pytest.param(ENDED, seen(submitted_at=MONDAY), True, id="runs-again"),
        pytest.param(PENDING, seen(submitted_at=THURSDAY), True, id="time-missing-at-first"),
        pytest.param(OPEN, seen("PENDING"), False, id="waits-again-without-a-time"),
        pytest.param(OPEN, seen(), True, id="source-without-times"),
        pytest.param(OPEN, seen(submitted_at=MONDAY, job_name="b"), False, id="another-name"),
    ],
)
def test_same_id_same_job(stored, record, is_same):
    assert is_same_job(stored, [record]) is is_same


def test_a_job_that_comes_back_has_its_old_key():
    later = StoredJob(job_key(1, 1), "a", THURSDAY, None, has_ended=False, is_seen=True)
    record = seen(submitted_at=MONDAY)
    assert not identify([record], {1: [OPEN, later]}, manifest())
    assert record.job_key == 1


def test_a_third_job_with_an_id_has_a_new_key():
    later = StoredJob(job_key(1, 1), "a", MONDAY + 90 * SECOND, None, has_ended=False, is_seen=True)
    record = seen(submitted_at=THURSDAY)
    assert identify([record], {1: [OPEN, later]}, manifest())
    assert record.job_key == job_key(1, 2)


def test_a_record_with_another_name_is_not_of_the_attempt_that_had_its_id():
    own, other = seen(job_name="dynunet-calibtrue"), seen(job_name="dynunet-calibfalse")
    assume_newest([own, other], manifest())
    assert [own.job_key, other.job_key] == [1, job_key(1, 1)]
    assert identify([other], {}, manifest()) is False
    assert other.job_key == job_key(1, 1)


@pytest.mark.parametrize(
    ("cycle", "key"), [pytest.param(0, 1, id="the-attempt"), pytest.param(1, job_key(1, 1), id="another")]
)
def test_a_resubmitted_job_with_the_metadata_of_an_attempt_is_the_same_job(cycle, key):
    made = manifest()
    tags = {
        "fmon_experiment": made.experiment_id, "fmon_condition": made.jobs[0].condition, "fmon_cycle": cycle
    }  # fmt: skip
    record = seen(submitted_at=THURSDAY, **tags)
    identify([record], {1: [ENDED]}, made)
    assert record.job_key == key
