"""Stores, records and polls to test with, and what a log says when it is read whole."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from fmon.manifest.file import write_manifest
from fmon.model import Attempt, Entry, Limits, Manifest, Price, Record
from fmon.store.arrow import LOG, read_log_file, values
from fmon.store.changes import ROW
from fmon.store.folder import Store
from fmon.store.log import EPOCH, Appended, Poll, append
from fmon.store.reading import reading_set, steadily

START = datetime(2026, 3, 22, 5, 0, tzinfo=UTC)
ID = "small-20260322T050000Z"


def new_store(data: Path, name: str = ID) -> Store:
    """Make a store with a manifest of four conditions."""
    store = Store(data / name)
    store.path.mkdir(parents=True)
    write_manifest(store, manifest(experiment_id=name))
    return store


def manifest(**changed) -> Manifest:
    """Make a manifest of two factors, four cells and a baseline."""
    cells = [("dynunet", True), ("dynunet", False), ("sam3", True), ("sam3", False)]
    entries = [
        Entry(
            condition=f"{model}-{calib}".lower(),
            kind="grid",
            factors={"model": model, "calib": calib},
            job_name=f"{model}-calib{calib}".lower(),
            job_id=number,
        )
        for number, (model, calib) in enumerate(cells, start=1)
    ]
    entries.append(
        Entry(condition="zeroshot", kind="baseline", factors={"model": "vanilla"}, job_name="zeroshot")
    )
    fields = {
        "experiment_id": ID,
        "experiment_name": "small",
        "config_file": "experiment.yaml",
        "created_at": START,
        "factors": {"model": ["dynunet", "sam3"], "calib": [True, False]},
        "skypilot_yaml": "train.yaml",
        "expected_job_count": len(entries),
        "jobs": entries,
    }
    return Manifest(**{**fields, **changed})


def full_manifest() -> Manifest:
    """Make a manifest that uses every key."""
    made = manifest(
        is_replay=True, inner_factors={"post": ["none", "swag"]}, docker_image="r/x:1",
        docker_digest="sha256:1", user_hash="ab12", since=START, current_cycle=1,
        total_estimated_cost=27.04, as_of=START,
        limits=Limits(budget_usd=25.0, accelerators=["L4"]), prices={"L4": Price(spot=0.22)},
    )  # fmt: skip
    first = made.jobs[0]
    first.relaunch_batch, first.attempts = (
        1,
        [Attempt(cycle=0, job_id=77), Attempt(cycle=1, job_id=78, role="superseded")],
    )
    first.status, first.start_time, first.end_time = "FAILED", START, START + timedelta(minutes=5)
    first.duration_seconds, first.cost_usd, first.failure_category = 300.0, 0.1, "resources"
    return made


def record(job_id: int, status: str = "RUNNING", **fields) -> Record:
    return Record(job_id=job_id, status=status, **fields)


def look(minute: float = 0, **fields) -> Poll:
    return Poll(
        **{"polled_at": START + timedelta(minutes=minute), "source": "sky", "latency_s": 0.1, **fields}
    )


def poll(store: Store, minute: float, *records: Record) -> Appended:
    """Append a successful poll."""
    return append(store, look(minute, job_count=len(records)), list(records))


def failed_poll(store: Store, minute: float) -> Appended:
    return append(store, look(minute, error_type="QueueError", error="no answer"), None)


def log(store: Store) -> pa.Table:
    """Read the whole log."""
    return steadily(store, lambda paths: pa.concat_tables([LOG.empty_table(), *map(read_log_file, paths)]))


def rows(store: Store) -> list[dict]:
    """Give the job rows in the order of the polls; times in microseconds."""
    table = log(store)
    names = ("poll_id", "polled_at", *ROW)
    found = [
        dict(zip(names, row, strict=True)) for row in zip(*(values(table[n]) for n in names), strict=True)
    ]
    return sorted((row for row in found if row["job_id"] is not None), key=lambda row: row["poll_id"])


def beats(store: Store) -> list[dict]:
    """Give the heartbeats in the order of the polls."""
    table = log(store)
    names = ("poll_id", "polled_at", "source", "is_ok", "error_type", "error", "job_count", "seen_count",
             "changed_count", "latency_s")  # fmt: skip
    found = zip(values(table["job_id"]), *(values(table[n]) for n in names), strict=True)
    return sorted(
        (dict(zip(names, row, strict=True)) for job_id, *row in found if job_id is None),
        key=lambda beat: beat["poll_id"],
    )


def files(store: Store) -> list[str]:
    """Name what a reader would read."""
    return [path.stem for path in reading_set(store)]


def micros(minute: float) -> int:
    return (START + timedelta(minutes=minute) - EPOCH) // timedelta(microseconds=1)


Truth = dict[int, list[Record] | None]
"""What each poll saw, by its polled_at in microseconds; None where the look failed."""


def hold_against(store: Store, truth: Truth) -> list[tuple[int, int]]:
    """Replay the log row by row and compare every poll with what it saw; give (poll_id, polled_at) of all.

    This finds a poll that is lost, double or out of order, and any row that was compared with a wrong state.
    """
    found = beats(store)
    assert [beat["poll_id"] for beat in found] == list(range(1, len(found) + 1))
    changed: dict[int, list[dict]] = {}
    for row in rows(store):
        changed.setdefault(row["poll_id"], []).append(row)
    now: dict[int, str] = {}
    for beat in found:
        own = changed.pop(beat["poll_id"], [])
        assert beat["changed_count"] == len(own)
        for row in own:
            if row["is_seen"]:
                assert now.get(row["job_id"]) != row["status"]
                now[row["job_id"]] = row["status"]
            else:
                assert now.pop(row["job_id"]) == row["status"]
        seen = truth[beat["polled_at"]]
        assert beat["is_ok"] == (seen is not None)
        if seen is not None:
            assert now == {record.job_id: record.status for record in seen}, beat
    assert not changed
    return [(beat["poll_id"], beat["polled_at"]) for beat in found]
