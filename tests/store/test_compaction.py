"""Few files, the same rows."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.store import compaction
from fmon.store.compaction import closed_blocks
from fmon.store.reading import Span, listing, spans_of, widest
from tests.support.stores import beats, files, poll, record, rows


def fill(store, count):
    for number in range(count):
        poll(store, number, record(1, f"S{number // 2}"), record(2))


@pytest.mark.usefixtures("small_tiers")
def test_each_tier_is_compacted_when_it_is_full(store):
    fill(store, 27 + 9 + 3 + 2)
    assert files(store) == [
        "0000000001-0000000027",
        "0000000028-0000000036",
        "0000000037-0000000039",
        "0000000040-0000000040",
        "0000000041-0000000041",
    ]


def test_an_hour_of_minutes_becomes_a_file_and_its_inputs_wait_for_the_grace_period(store):
    fill(store, 61)
    assert files(store) == ["0000000001-0000000060", "0000000061-0000000061"]
    assert len(listing(store.log_dir)) == 62
    cover = store.log_dir / "0000000001-0000000060.parquet"
    hours_ago = cover.stat().st_mtime - 7200
    os.utime(cover, (hours_ago, hours_ago))
    poll(store, 61, record(1, "S30"), record(2))
    assert len(listing(store.log_dir)) == 3


@pytest.mark.usefixtures("small_tiers")
def test_compaction_keeps_every_row_and_every_heartbeat(store, monkeypatch):
    fill(store, 26)
    before = rows(store), beats(store)
    fill(store, 1)
    assert files(store) == ["0000000001-0000000027"]
    after = rows(store), beats(store)
    assert after[0][: len(before[0])] == before[0]
    assert after[1][:26] == before[1]


@pytest.mark.usefixtures("small_tiers")
def test_a_compacted_file_has_heartbeats_first_and_both_by_poll(store):
    from fmon.store.arrow import read_log_file
    from fmon.store.reading import reading_set

    fill(store, 9)
    table = read_log_file(reading_set(store)[0])
    jobs = table["job_id"].to_pylist()
    ids = table["poll_id"].to_pylist()
    assert jobs[:9] == [None] * 9
    assert None not in jobs[9:]
    assert ids[:9] == list(range(1, 10))
    assert ids[9:] == sorted(ids[9:])


@pytest.mark.usefixtures("small_tiers")
def test_a_block_whose_compaction_was_missed_is_made_up_for(store, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "closed_blocks", lambda live: [])
        fill(store, 10)
    fill(store, 2)
    assert files(store) == ["0000000001-0000000009", "0000000010-0000000012"]


@pytest.mark.slow
def test_a_replay_that_runs_through_days_does_not_wait_for_the_grace_period(store, monkeypatch):
    monkeypatch.setattr(compaction, "GRACE_POLLS", 60)
    fill(store, 121)
    assert len(listing(store.log_dir)) == 2 + 60 + 1


@given(st.integers(1, 200), st.sets(st.integers(1, 200)), st.integers(0, 2**32))
def test_whatever_was_compacted_when_the_reading_set_covers_each_poll_once(count, closed_at, seed):
    """Closing (an unaligned file) may come in between any two polls."""
    live: list[Span] = []
    every: list[Span] = []
    for number in range(1, count + 1):
        every.append(Span(number, number))
        live = widest(every)
        groups = closed_blocks(live) if number % 60 == 0 else []
        if number in closed_at and len(live) > 1:
            groups = [live]
        made = [Span(group[0].lo, group[-1].hi) for group in groups]
        every += made
        live = widest(every)
        if seed % 3 == number % 3:
            every = list(live)
    polls = [poll_id for span in live for poll_id in range(span.lo, span.hi + 1)]
    assert polls == list(range(1, count + 1))


def test_a_month_of_a_year_is_at_most_two_hundred_files():
    every: list[Span] = []
    most = 0
    for hour in range(1, 24 * 62):
        every.append(Span(60 * hour - 59, 60 * hour))
        for group in closed_blocks(every):
            made = Span(group[0].lo, group[-1].hi)
            every = widest([*every, made])
        most = max(most, len(every) + 59)
    assert most + 12 <= 200


def test_names_sort_and_tell_their_polls():
    spans = [Span(1, 60), Span(525_541, 525_600), Span(10**12, 10**12 + 59)]
    assert spans_of([span.name for span in spans]) == spans
