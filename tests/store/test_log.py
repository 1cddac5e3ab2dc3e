"""Polls in, polls out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fmon.errors import StoreError
from fmon.store import compaction
from fmon.store.arrow import read_log_file
from fmon.store.changes import ROW
from fmon.store.compaction import close
from fmon.store.durable import LockTaken, lock
from fmon.store.log import append, polls_of
from fmon.store.reading import reading_set, steadily
from tests.support.stores import START, beats, failed_poll, files, look, poll, record, rows


def test_an_empty_store_has_no_polls(store):
    assert reading_set(store) == []
    assert polls_of(store) == set()
    close(store, now=datetime.now(UTC))
    assert store.is_closed


def test_a_failed_look_can_be_the_first(store):
    failed_poll(store, 0)
    assert poll(store, 1, record(1)) == (2, 1)


def test_polls_of_knows_source_and_time_whatever_the_zone(store):
    there = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    append(store, look(polled_at=there), [])
    append(store, look(polled_at=START + timedelta(microseconds=1), source="recording"), None)
    assert polls_of(store) == {("sky", START), ("recording", START + timedelta(microseconds=1))}


def test_times_before_1970_and_far_ahead_are_kept(store):
    times = {datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)}
    for time in times:
        append(store, look(polled_at=time), [])
    assert {time for _, time in polls_of(store)} == times


def test_a_clock_that_steps_back_changes_no_order(store):
    poll(store, 60, record(1, "PENDING"))
    poll(store, 0, record(1, "RUNNING"))
    poll(store, 30, record(1, "SUCCEEDED"))
    assert [(row["poll_id"], row["status"]) for row in rows(store)] == [
        (1, "PENDING"),
        (2, "RUNNING"),
        (3, "SUCCEEDED"),
    ]
    assert poll(store, 1, record(1, "SUCCEEDED")).changed_count == 0


@pytest.mark.usefixtures("small_tiers")
def test_a_clock_that_steps_back_does_not_disturb_compaction(store):
    for number in range(9):
        poll(store, -number, record(1))
    assert files(store) == ["0000000001-0000000009"]
    assert [beat["poll_id"] for beat in beats(store)] == list(range(1, 10))


def test_latency_is_kept_to_the_millisecond_and_an_error_on_one_line(store):
    append(store, look(latency_s=2.0123456, error_type="HTTPError", error="bad\n  gateway"), None)
    assert beats(store)[0]["latency_s"] == 2.012
    assert beats(store)[0]["error"] == "bad gateway"


def test_a_poll_that_waited_too_long_for_the_lock_is_refused(store, monkeypatch):
    monkeypatch.setattr(compaction, "LOCK_WAIT_S", 0.05)
    with (
        lock(store.lock_file, wait_s=0),
        pytest.raises(LockTaken, match="another fmon process still holds the lock") as refusal,
    ):
        poll(store, 0, record(1))
    assert refusal.value.exit_code == StoreError.exit_code == 14
    assert poll(store, 1, record(1)).poll_id == 1


def test_an_ended_experiment_is_one_file_and_can_go_on(store):
    for number in range(5):
        poll(store, number, record(1, f"S{number}"))
    close(store, now=datetime.now(UTC))
    assert sorted(path.name for path in store.log_dir.iterdir()) == ["0000000001-0000000005.parquet"]
    store.reopen()
    assert not store.is_closed
    assert poll(store, 6, record(1, "S4")) == (6, 0)
    close(store, now=datetime.now(UTC))
    assert files(store) == ["0000000001-0000000006"]


def test_ten_thousand_jobs_are_stored_and_then_quiet(store):
    jobs = [record(number, job_name=f"job-{number}") for number in range(10_000)]
    assert poll(store, 0, *jobs).changed_count == 10_000
    assert poll(store, 1, *jobs).changed_count == 0
    jobs[5_000] = record(5_000, "FAILED")
    assert poll(store, 2, *jobs).changed_count == 1


def test_a_reader_lists_again_when_compaction_took_a_file(store):
    for number in range(3):
        poll(store, number, record(1))
    listed = []

    def read(paths):
        listed.append([path.stem for path in paths])
        if len(listed) == 1:
            close(store, now=datetime.now(UTC))
        return [path.read_bytes() for path in paths]

    assert len(steadily(store, read)) == 1
    assert listed[1] == ["0000000001-0000000003"]


def test_a_reader_does_not_hide_its_own_mistakes(store):
    poll(store, 0, record(1))
    with pytest.raises(ZeroDivisionError):
        steadily(store, lambda _: 1 / 0)


@pytest.mark.parametrize("columns", [None, ["status"], ["job_id", "polled_at"], ["is_ok"]])
def test_a_quiet_polls_file_is_read_with_all_columns(store, columns):
    poll(store, 0, record(1))
    poll(store, 1, record(1))
    changed, quiet = (read_log_file(path, columns) for path in reading_set(store))
    assert quiet.schema == changed.schema
    assert (changed.num_rows, quiet.num_rows) == (2, 1)
    assert [quiet[name].null_count for name in quiet.column_names if name in ROW] == [1] * len(
        [name for name in quiet.column_names if name in ROW]
    )


def test_a_damaged_file_is_named_with_the_polls_it_held(store):
    poll(store, 0, record(1))
    poll(store, 1, record(1, "FAILED"))
    path = reading_set(store)[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"0000000001-0000000001\.parquet is damaged .* polls 1 to 1"):
        polls_of(store)


def test_files_that_are_not_of_the_log_are_left_alone(store):
    poll(store, 0, record(1))
    for name in ("notes.txt", "1-2.parquet", "0000000001-0000000009.parquet.bak"):
        (store.log_dir / name).write_text("x")
    assert poll(store, 1, record(1)).poll_id == 2
    close(store, now=datetime.now(UTC))
    assert len(list(store.log_dir.iterdir())) == 4
