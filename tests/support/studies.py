"""Experiments of any size as stores, to show and to report on."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from fmon.manifest.file import write_manifest
from fmon.model import Attempt, Entry, Level, Manifest, Record
from fmon.store.folder import Store
from fmon.store.log import EPOCH, Poll, append

START = datetime(2026, 3, 22, 5, 0, tzinfo=UTC)
NAME = "study-20260322T050000Z"
FACTORS: dict[str, list[Level]] = {"model": ["dynunet", "sam3"], "fold": [0, 1, 2]}


def study(
    data: Path, factors: Mapping[str, list[Level]] = FACTORS, *, experiment_id: str = NAME, **changed: Any
) -> Store:
    """Make a store whose conditions have the jobs 1, 2, ... in the order of the grid."""
    store = Store(data / experiment_id)
    store.path.mkdir(parents=True)
    cells = [dict(zip(factors, levels, strict=True)) for levels in product(*factors.values())]
    entries = [
        Entry(condition=f"c{number}", kind="grid", factors=cell, job_name=f"c{number}", job_id=number)
        for number, cell in enumerate(cells, start=1)
    ]
    fields: dict[str, Any] = {
        "experiment_id": experiment_id,
        "experiment_name": "study",
        "config_file": "experiment.yaml",
        "created_at": START,
        "factors": dict(factors),
        "skypilot_yaml": "train.yaml",
        "expected_job_count": len(entries),
        "jobs": entries,
    }
    write_manifest(store, Manifest(**{**fields, **changed}))
    return store


def relaunched(entry: Entry, job_id: int) -> Entry:
    """Give a condition its next attempt."""
    assert entry.job_id is not None
    entry.attempts.append(Attempt(cycle=entry.relaunch_batch, job_id=entry.job_id))
    entry.job_id, entry.relaunch_batch = job_id, entry.relaunch_batch + 1
    return entry


def job(job_id: int, status: str = "RUNNING", *, minutes: float = 10, **fields: Any) -> Record:
    """Make a record: submitted at START, running from START on, for ``minutes`` if it has ended."""
    times: dict[str, Any] = {"submitted_at": micros(0)}
    if status not in ("PENDING", "STARTING", "FAILED_PRECHECKS"):
        times["start_at"] = micros(0)
    if status not in ("PENDING", "STARTING", "RUNNING", "RECOVERING"):
        times |= {"end_at": micros(minutes), "job_duration_s": minutes * 60}
    price = {"price_usd_per_h": 1.3, "price_source": "config"}
    return Record(job_id=job_id, job_name=f"c{job_id}", status=status, **{**price, **times, **fields})


def poll(
    store: Store,
    minute: float,
    records: Iterable[Record] | None,
    error: str | None = None,
    *,
    source: str = "sky",
) -> None:
    """Append a poll; None = the queue did not answer."""
    listed = None if records is None else list(records)
    look = Poll(
        polled_at=at(minute),
        source=source,
        latency_s=0.1,
        job_count=None if listed is None else len(listed),
        error_type=None if listed is not None else "ClusterNotUpError",
        error=error,
    )
    append(store, look, listed)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def micros(minute: float) -> int:
    return (at(minute) - EPOCH) // timedelta(microseconds=1)
