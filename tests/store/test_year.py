"""Stores as time leaves them: a year of minutes, a million rows."""

import time
from datetime import UTC, datetime

import pytest

from benchmarks.year import build_year, manifest, records_at
from fmon.manifest.file import read_manifest
from fmon.store import state
from fmon.store.compaction import close
from fmon.store.log import append
from fmon.store.reading import reading_set
from tests.support.stores import beats, look, poll, record, rows


def check(store, days):
    """Hold a built store against what a real one would say."""
    assert [beat["poll_id"] for beat in beats(store)] == list(range(1, days * 1440 + 1))
    final = state.rows_of(state.load(store, None))
    jobs = records_at(days * 1440, days)
    assert [(row[0], row[state.ROW.index("status")]) for row in final.values()] == [
        (job.job_id, job.status) for job in jobs
    ]
    assert append(store, look(), jobs).changed_count == 0
    assert read_manifest(store) == manifest(store.experiment_id, days)


@pytest.mark.slow
def test_a_built_store_is_what_polling_would_have_left(tmp_path):
    store = build_year(tmp_path, days=2)
    check(store, 2)
    assert sum(beat["changed_count"] for beat in beats(store)) == len(rows(store))


@pytest.mark.slow
def test_a_year_of_minutes_is_small_and_few_files(tmp_path):
    store = build_year(tmp_path)
    assert len(reading_set(store)) <= 200
    assert sum(path.stat().st_size for path in store.path.rglob("*.parquet")) <= 10_000_000
    check(store, 365)


@pytest.mark.slow
def test_a_million_rows_are_stored_closed_and_rebuilt(store):
    """Ten polls in which each of 100,000 jobs changes; defined = stored in full, within minutes."""
    start = time.monotonic()
    for number in range(10):
        jobs = [record(job, f"S{number}", job_name=f"job-{job}") for job in range(100_000)]
        assert poll(store, number, *jobs).changed_count == 100_000
    close(store, now=datetime.now(UTC))
    assert len(reading_set(store)) == 1
    assert state.load(store, None).equals(state.load(store, state.header(store, 10)))
    store.state.unlink()
    assert poll(store, 10, *jobs).changed_count == 0
    assert time.monotonic() - start < 300
