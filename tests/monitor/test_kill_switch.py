"""Firings are looked for once per state of the findings, recorded once, and survive a crash in between."""

from datetime import UTC, datetime

import pytest

import fmon.warehouse
from fmon.config import load_experiment
from fmon.errors import StoreError
from fmon.events import AttachEvent
from fmon.manifest.build import new_manifest
from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor import kill_switch as firing
from fmon.monitor.kill_switch import record_firings
from fmon.store.events import append_event
from fmon.store.folder import Store
from fmon.warehouse import connect, rows
from fmon.warehouse.views import make_views
from tests.support.cases import complete, database
from tests.support.events import written_events
from tests.support.world import write_config

NOW = datetime(2026, 1, 1, 0, 20, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "data" / "small-20260101T000000Z")
    made.path.mkdir(parents=True)
    experiment = load_experiment(write_config(tmp_path))
    manifest = new_manifest(experiment, made.experiment_id, created_at=NOW, is_replay=False, prices={})
    write_manifest(made, manifest)
    return made


def sources(failed, waiting):
    ids = [*failed, *waiting]
    return complete(
        {
            name: [{"experiment_id": "e", **row} for row in given]
            for name, given in {
                "clock": [{"now": "00:20"}],
                "entry": [
                    {"condition_id": f"c{n}", "kind": "grid", "factors": f"model={'ab'[n > 7]}, fold={n}"}
                    for n in range(1, 10)
                ],
                "attempt": [
                    {"condition_id": f"c{n}", "cycle": "0", "job_id": str(n), "role": "attempt"} for n in ids
                ],
                "manifest": [],
                "heartbeat": [],
                "snapshot": [
                    {"job_id": str(n), "task_id": "0", "poll_id": "1", "is_seen": "true", **seen}
                    for n in ids
                    for seen in [
                        {"status": "FAILED", "start_at": "00:10", "end_at": "00:12"}
                        if n in failed
                        else {"status": "PENDING"}
                    ]
                ],
                "finding": [
                    {
                        "job_id": str(n),
                        "task_id": "0",
                        "signature": "abc",
                        "category": "code",
                        "source": "log",
                    }
                    for n in failed
                ],
            }.items()
        }
    )


@pytest.fixture
def examined(store, monkeypatch):
    """Let the views say what ``sources`` made, and the findings be new; count how often they are asked."""
    asked = []

    def see(failed, waiting):
        given = sources(failed, waiting)
        for row in given["heartbeat"]:
            row |= {"source": "sky", "is_ok": "true"}

        def opened(*_, **__):
            asked.append(1)
            con = database(given)
            make_views(con)
            return con

        monkeypatch.setattr(fmon.warehouse, "connect", opened)
        (store.path / firing.FINDINGS).write_bytes(b"x" * (len(asked) + len(failed) + 1))

    see.asked = asked
    return see


def look(store):
    return record_firings(store, read_manifest(store), now=NOW)


@pytest.mark.slow
def test_three_identical_failures_are_recorded_once(store, examined):
    examined([1, 2, 3], [4, 9])
    (event,) = look(store)
    assert event.candidate_job_ids == [4]
    assert event.combination == {"model": "a"}
    assert look(store) == []
    assert len(examined.asked) == 1
    examined([1, 2, 3, 5], [4, 9])
    assert look(store) == []
    assert [each["event"] for each in written_events(store)].count("kill_switch") == 1


def test_without_new_findings_no_view_is_asked(store, examined):
    assert look(store) == []
    assert examined.asked == []


@pytest.mark.slow
def test_a_poll_that_died_before_it_recorded_is_made_up_for(store, examined, monkeypatch):
    examined([1, 2, 3], [4])
    with monkeypatch.context() as patch:
        patch.setattr(firing, "append_event", lambda *_, **__: (_ for _ in ()).throw(StoreError("disk full")))
        with pytest.raises(StoreError):
            look(store)
    assert len(look(store)) == 1


@pytest.mark.slow
def test_a_poll_that_died_before_its_mark_fires_no_second_time(store, examined):
    examined([1, 2, 3], [4])
    look(store)
    (store.path / firing.MARK).unlink()
    assert look(store) == []


@pytest.mark.slow
def test_the_ratio_fires_once_a_cycle(store, examined):
    manifest = read_manifest(store)
    manifest.max_failed_ratio = 0.2
    examined([1, 9], [4])
    assert [event.trigger for event in record_firings(store, manifest, now=NOW)] == ["failed_ratio"]
    examined([1, 2, 9], [4])
    assert "failed_ratio" not in [each.trigger for each in record_firings(store, manifest, now=NOW)]


@pytest.mark.slow
def test_the_view_reads_what_was_recorded(store, examined, monkeypatch):
    examined([1, 2, 3], [])
    look(store)
    monkeypatch.undo()
    append_event(store, AttachEvent(at=NOW, jobs={}, source="queue.json"))
    con = connect(store.path.parent, store.experiment_id, queries=["from kill_switch"])
    (row,) = rows(con, "select trigger, failed_job_ids, fired_at, combination from kill_switch")
    assert row == {
        "trigger": "identical_errors",
        "failed_job_ids": [1, 2, 3],
        "fired_at": NOW,
        "combination": {"model": "a"},
    }


@pytest.mark.slow
def test_status_shows_a_firing_first_and_ends_with_5(store, examined, monkeypatch):
    from fmon.monitor.status import QUERIES, exit_status, status

    examined([1, 2, 3], [4])
    look(store)
    monkeypatch.undo()
    store.findings.unlink()  # no Parquet file, only a state of the findings for look()
    manifest = read_manifest(store)
    manifest.jobs[0].job_id = 4
    write_manifest(store, manifest)
    seen = status(connect(store.path.parent, store.experiment_id, queries=QUERIES))
    assert seen.alarms[0].kind == "kill_switch"
    assert seen.alarms[0].message == (
        "3 jobs failed with the identical error (code) at model=a; to cancel job 4, run "
        "fmon cancel --kill-switch -e small-20260101T000000Z"
    )
    assert exit_status(seen) == 5
