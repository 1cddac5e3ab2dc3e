"""The audit survives whatever tore its last line."""

import os
from decimal import Decimal

import msgspec
import pytest

from fmon.errors import StoreError
from fmon.store.events import append_event, read_events
from tests.support.stores import START


def test_events_come_back_in_order_with_times_in_utc(store):
    append_event(store, "cancel", at=START, job_ids=[1, 2], dry_run=True)
    append_event(store, "note", at=START, text="two\nlines", cost=Decimal("0.10"))
    assert (
        store.events.read_text().splitlines()[0].startswith('{"at":"2026-03-22T05:00:00Z","event":"cancel"')
    )
    assert read_events(store) == [
        {"at": "2026-03-22T05:00:00Z", "event": "cancel", "job_ids": [1, 2], "dry_run": True},
        {"at": "2026-03-22T05:00:00Z", "event": "note", "text": "two\nlines", "cost": "0.10"},
    ]


def test_a_store_without_events_has_none(store):
    assert read_events(store) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"event": "cancel_begin", "job_ids": [1]}, {"event": "cancel_requested", "job_ids": [1]}),
        ({"event": "close_lost"}, {"event": "lost_job_closed"}),
        ({"event": "fix_verify"}, {"event": "fix_verified"}),
        ({"event": "authorize_cycle"}, {"event": "cycle_authorized"}),
        (
            {"event": "kill_switch", "why_none": "no job is open"},
            {"event": "kill_switch", "no_action_reason": "no job is open"},
        ),
        ({"event": ["cancel_begin"]}, {"event": ["cancel_begin"]}),
        ({"text": "no kind"}, {"text": "no kind"}),
    ],
)
def test_events_of_early_stores_are_read_by_their_names_of_today(store, old, new):
    store.events.write_bytes(msgspec.json.encode(old) + b"\n")
    assert read_events(store) == [new]


@pytest.mark.parametrize("length", range(1, 12))
def test_a_torn_line_is_left_out_and_repaired_by_the_next_writer(store, length):
    append_event(store, "first", at=START)
    with store.events.open("ab") as file:
        file.write(b'{"at":"2026-03-22T05:00:00Z"}'[:length])
    assert [event["event"] for event in read_events(store)] == ["first"]
    append_event(store, "second", at=START)
    assert [event["event"] for event in read_events(store)] == ["first", "second"]


def test_a_whole_object_without_its_newline_was_never_acknowledged(store):
    store.events.write_bytes(b'{"event":"torn"}')
    assert read_events(store) == []


def test_a_full_disk_leaves_the_file_as_it_was(store, monkeypatch):
    append_event(store, "first", at=START)
    before = store.events.read_bytes()
    real = os.write

    def fill(handle, data):
        real(handle, bytes(data)[:4])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fill)
        with pytest.raises(StoreError, match="No space left"):
            append_event(store, "second", at=START)
    assert store.events.read_bytes() == before
