"""The audit survives whatever tore its last line, and versions of fmon older and newer than this one."""

import json
import os
from datetime import UTC, datetime

import pytest

from fmon.errors import StoreError
from fmon.events import (
    AttachEvent,
    CancelEvent,
    CancelRequestedEvent,
    CycleAuthorizedEvent,
    FixVerifiedEvent,
    KillSwitchEvent,
    LostJobClosedEvent,
    UnknownEvent,
    VerifiedLink,
)
from fmon.store.events import append_event, read_events
from tests.support.events import FIRING, written_events
from tests.support.stores import START

FIRST = AttachEvent(at=START, jobs={"c1": 1}, source="first")
SECOND = AttachEvent(at=START, jobs={"c2": 2}, source="second\nline")
CANCEL = CancelEvent(at=START, job_ids=[1, 2], left_job_ids=[], reason="person", by="ada")


def test_events_come_back_in_order_with_times_in_utc(store):
    links = [VerifiedLink(link="tests", result="ok", evidence="pytest ended with exit status 0")]
    verified = FixVerifiedEvent(
        at=START, cycle=0, is_ok=True, links=links, image=None, digest=None, commits=["Fix"]
    )
    events = [CANCEL, SECOND, FIRING, verified]
    for event in events:
        append_event(store, event)
    assert read_events(store) == events
    assert written_events(store)[0] == {
        "at": "2026-03-22T05:00:00Z",
        "event": "cancel",
        "job_ids": [1, 2],
        "left_job_ids": [],
        "reason": "person",
        "by": "ada",
    }


def test_what_was_only_written_down_of_a_replay_is_marked(store):
    append_event(store, CANCEL)
    append_event(store, CANCEL, is_replay=True)
    assert [event.dry_run for event in read_events(store)] == [False, True]
    assert [line.get("dry_run") for line in written_events(store)] == [None, True]


def test_a_store_without_events_has_none(store):
    assert read_events(store) == []


@pytest.mark.parametrize("length", range(1, 28))
def test_a_torn_line_is_left_out_and_repaired_by_the_next_writer(store, length):
    append_event(store, FIRST)
    with store.events.open("ab") as file:
        file.write(b'{"event":"attach","jobs":{}}'[:length])
    assert read_events(store) == [FIRST]
    append_event(store, SECOND)
    assert read_events(store) == [FIRST, SECOND]


def test_a_whole_object_without_its_newline_was_never_acknowledged(store):
    store.events.write_bytes(b'{"event":"torn"}')
    assert read_events(store) == []


def test_a_full_disk_leaves_the_file_as_it_was(store, monkeypatch):
    append_event(store, FIRST)
    before = store.events.read_bytes()
    real = os.write

    def fill(handle, data):
        real(handle, bytes(data)[:4])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fill)
        with pytest.raises(StoreError, match="No space left"):
            append_event(store, SECOND)
    assert store.events.read_bytes() == before


def write(store, *lines):
    store.events.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_kind_of_a_newer_fmon_is_kept_as_it_is(store):
    newer = {"at": "2026-03-22T05:00:00Z", "event": "teach", "pattern": {"regex": "x", "confidence": 1.0}}
    write(store, newer, {"text": "no kind"}, {"event": 3})
    events = read_events(store)
    assert events == [UnknownEvent(content=line) for line in (newer, {"text": "no kind"}, {"event": 3})]
    append_event(store, events[0], is_replay=True)
    assert written_events(store)[-1] == newer


def test_a_field_of_a_newer_fmon_is_passed_over(store):
    append_event(store, FIRST)
    write(store, {**written_events(store)[0], "host": "a"})
    assert read_events(store) == [FIRST]


def test_a_known_kind_that_lacks_a_field_is_refused_by_line(store):
    write(store, {"event": "x"}, {"at": "2026-03-22T05:00:00Z", "event": "launch_intent", "cycle": 0})
    with pytest.raises(StoreError, match=r"events\.jsonl, line 2: .*attempt_key.*restore it"):
        read_events(store)


def test_stores_of_the_first_names_are_read_by_those_of_today(store):
    at = "2026-03-22T05:00:00Z"
    firing = {**written_of(store, FIRING), "why_none": "no job waits"}
    del firing["no_action_reason"]
    write(
        store,
        {"at": at, "event": "cancel_begin", "job_ids": [1], "reason": "person", "firing_ids": [], "by": "a"},
        {"at": at, "event": "close_lost", "condition_id": "c1", "job_id": 1, "by": "a", "reason": "gone"},
        {"at": at, "event": "fix_verify", "cycle": 0, "is_ok": False, "links": [], "commits": []}
        | {"image": None, "digest": None, "dry_run": True},
        {"at": at, "event": "authorize_cycle", "cycle": 3, "budget_usd": 5, "by": "a"},
        firing,
    )
    requested, closed, verified, authorized, fired = read_events(store)
    assert requested == CancelRequestedEvent(
        at=datetime(2026, 3, 22, 5, tzinfo=UTC), job_ids=[1], reason="person", firing_ids=[], by="a"
    )
    assert isinstance(closed, LostJobClosedEvent)
    assert isinstance(verified, FixVerifiedEvent)
    assert verified.dry_run
    assert authorized == CycleAuthorizedEvent(at=START, cycle=3, budget_usd=5.0, by="a")
    assert isinstance(fired, KillSwitchEvent)
    assert fired.no_action_reason == "no job waits"


def written_of(store, event):
    append_event(store, event)
    return written_events(store)[-1]
