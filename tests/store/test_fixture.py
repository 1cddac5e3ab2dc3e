"""Files of store schema 1, as they are out there, are read by today's code."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from fmon.events import UnknownEvent
from fmon.manifest.file import read_manifest
from fmon.store import state
from fmon.store.events import read_events
from fmon.store.folder import Store
from fmon.store.log import polls_of
from tests.support.stores import ID, START, beats, files, full_manifest, micros, poll, record, rows

FIXTURE = Path(__file__).parent / "fixtures" / "schema1" / ID


@pytest.fixture
def old(tmp_path):
    return Store(Path(shutil.copytree(FIXTURE, tmp_path / ID)))


def test_the_manifest_is_read(old):
    assert read_manifest(old) == full_manifest()


def test_the_audit_is_read(old):
    assert read_events(old) == [
        UnknownEvent(content={"at": "2026-03-22T05:00:00Z", "event": "note", "text": "schema 1"})
    ]


def test_the_reading_set_is_the_compacted_file_and_the_polls_behind_it_quiet_and_not(old):
    assert files(old) == [
        "0000000001-0000000003",
        "0000000004-0000000004",
        "0000000005-0000000005",
        "0000000006-0000000006",
    ]
    assert polls_of(old) == {("sky", START + timedelta(minutes=minute)) for minute in range(6)}


def test_heartbeats_and_rows_are_read(old):
    assert [(beat["is_ok"], beat["changed_count"], beat["error"]) for beat in beats(old)] == [
        (True, 2, None),
        (True, 1, None),
        (False, 0, "no answer"),
        (True, 1, None),
        (True, 1, None),
        (True, 0, None),
    ]
    assert [(row["poll_id"], row["job_id"], row["status"], row["is_seen"]) for row in rows(old)] == [
        (1, 1, "PENDING", True),
        (1, 2, "STARTING", True),
        (2, 1, "RUNNING", True),
        (4, 2, "STARTING", False),
        (5, 1, "FAILED", True),
    ]
    last = rows(old)[-1]
    assert (last["end_at"], last["job_duration_s"], last["price_usd_per_h"]) == (micros(4), 180.0, 0.22)
    assert (last["failure_reason"], last["zone"]) == ("exit code 1", "europe-west4-a")


def test_the_state_is_read_equals_its_rebuild_and_polls_go_on(old):
    kept = state.load(old, state.header(old, 6))
    assert kept.equals(state.load(old, None))
    last = {
        name: value
        for name, value in rows(old)[-1].items()
        if name not in ("poll_id", "polled_at", "is_seen")
    }
    assert poll(old, 6, record(**last)) == (7, 0)
    assert poll(old, 7, record(**last), record(2, "STARTING")) == (8, 1)
