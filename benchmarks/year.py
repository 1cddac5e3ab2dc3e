"""Build the store of a year of minute polls: 24 jobs start each day, with 5 changes each.

Most of it is written directly as compacted files, with the same functions; the last three hours are real
appends.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pyarrow as pa

from fmon.manifest.file import write_manifest
from fmon.model import EPOCH, Entry, Manifest, Record
from fmon.store import compaction
from fmon.store.arrow import LOG, PACKED, parquet, table_of
from fmon.store.changes import ROW, changed_rows
from fmon.store.durable import write_durably
from fmon.store.folder import Store
from fmon.store.log import Poll, append
from fmon.store.reading import Span

START = datetime(2026, 1, 1, tzinfo=UTC)
JOBS_A_DAY = 24
POLLS_A_DAY = 1_440
REAL_POLLS = 180
SOURCE = "sky"
CHANGES_AT = (0, 3, 6, 240, 360)
"""Minutes after its submission when a job changes: pending, starting, running, recovered, ended."""

MODELS, LOSSES, CALIBS = (
    ["dynunet", "segresnet", "sam3", "vesselfm"],
    ["dice_ce", "cldice", "cbdice"],
    [True, False],
)


def build_year(data: Path, *, days: int = 365) -> Store:
    """Build the store of an experiment that has been open for a number of days.

    Parameters
    ----------
    data : data directory
    days : 365 = 525,600 polls, 8,760 conditions, 43,800 changes

    Returns
    -------
    The store; it is open, and so are its newest jobs.
    """
    store = Store(data / f"year-{START:%Y%m%dT%H%M%SZ}")
    store.path.mkdir(parents=True)
    write_manifest(store, manifest(store.experiment_id, days))
    last = days * POLLS_A_DAY
    for span in spans_until(last - REAL_POLLS):
        write_durably(store.log_dir / span.name, parquet(*block(store, span, days), options=PACKED))
    for poll_id in range(last - REAL_POLLS + 1, last + 1):
        append(store, look(poll_id), records_at(poll_id, days))
    return store


def manifest(experiment_id: str, days: int) -> Manifest:
    """Build the manifest: one batch of 4 x 3 x 2 conditions a day."""
    batches = [f"d{day:03}" for day in range(days)]
    cells = list(product(batches, MODELS, LOSSES, CALIBS))
    entries = [
        Entry(
            condition=name_of(cell),
            kind="grid",
            factors=dict(zip(("batch", "model", "loss", "calib"), cell, strict=True)),
            job_name=name_of(cell),
            job_id=number,
        )
        for number, cell in enumerate(cells, start=1)
    ]
    return Manifest(
        experiment_id=experiment_id,
        experiment_name="year",
        config_file="experiment.yaml",
        created_at=START,
        factors={"batch": list(batches), "model": list(MODELS), "loss": list(LOSSES), "calib": list(CALIBS)},
        skypilot_yaml="train.yaml",
        user_hash="ab12cd34",
        expected_job_count=len(entries),
        jobs=entries,
    )


def name_of(cell: tuple) -> str:
    return "-".join(str(level).lower() for level in cell)


def spans_until(last: int) -> Iterator[Span]:
    """List the files that compaction leaves after a number of polls."""
    lo = 1
    for size in (*reversed(compaction.TIERS), 1):
        while lo + size - 1 <= last:
            yield Span(lo, lo + size - 1)
            lo += size


def block(store: Store, span: Span, days: int) -> list[pa.Table]:
    """Build the heartbeats and the job rows of one compacted file."""
    changes = list(changes_of(span, days))
    counts: dict[int, int] = {}
    for poll_id, _ in changes:
        counts[poll_id] = counts.get(poll_id, 0) + 1
    ids = range(span.lo, span.hi + 1)
    looks = [look(poll_id) for poll_id in ids]
    beats = {
        "experiment_id": [store.experiment_id] * len(ids),
        "poll_id": list(ids),
        "polled_at": [micros(seen.polled_at) for seen in looks],
        "source": [SOURCE] * len(ids),
        "is_ok": [True] * len(ids),
        "job_count": [seen.job_count for seen in looks],
        "seen_count": [started(poll_id) for poll_id in ids],
        "changed_count": [counts.get(poll_id, 0) for poll_id in ids],
        "latency_s": [round(seen.latency_s, 3) for seen in looks],
    }
    rows = [changed_rows({}, [record])[0] for _, record in changes]
    jobs = {
        "experiment_id": [store.experiment_id] * len(changes),
        "poll_id": [poll_id for poll_id, _ in changes],
        "polled_at": [micros(look(poll_id).polled_at) for poll_id, _ in changes],
        **(dict(zip(ROW, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}),
    }
    return [table_of(beats, LOG), table_of(jobs, LOG)]


def changes_of(span: Span, days: int) -> Iterator[tuple[int, Record]]:
    """Return the changes of a span of polls in order: the poll that saw each, and the record."""
    hour = POLLS_A_DAY // JOBS_A_DAY
    first = max(0, (span.lo - 1 - CHANGES_AT[-1]) // hour)
    found = [
        (job * hour + at + 1, job, stage)
        for job in range(first, min(days * JOBS_A_DAY, span.hi // hour + 1))
        for stage, at in enumerate(CHANGES_AT)
    ]
    for poll_id, job, stage in sorted(found):
        if span.lo <= poll_id <= span.hi:
            yield poll_id, record_of(job, stage)


def started(poll_id: int) -> int:
    """Count the jobs that exist at a poll."""
    return (poll_id - 1) // (POLLS_A_DAY // JOBS_A_DAY) + 1


def records_at(poll_id: int, days: int) -> list[Record]:
    """Build all records that a poll sees."""
    hour = POLLS_A_DAY // JOBS_A_DAY
    seen = []
    for job in range(min(days * JOBS_A_DAY, started(poll_id))):
        age = poll_id - 1 - job * hour
        seen.append(record_of(job, max(stage for stage, at in enumerate(CHANGES_AT) if at <= age)))
    return seen


def record_of(job: int, stage: int) -> Record:
    """Build a job's record at one of its five stages."""
    dice = random.Random(job)
    submitted = micros(START + timedelta(minutes=job * POLLS_A_DAY // JOBS_A_DAY)) - dice.randrange(
        60_000_000
    )
    times = [submitted + 60_000_000 * at for at in CHANGES_AT]
    cell = (MODELS[job // 6 % 4], LOSSES[job // 2 % 3], CALIBS[job % 2])
    end = "SUCCEEDED" if dice.random() < 0.9 else "FAILED"
    zone = f"europe-west4-{dice.choice('abc')}" if stage else None
    return Record(
        job_id=job + 1,
        job_name=name_of((f"d{job // JOBS_A_DAY:03}", *cell)),
        status=("PENDING", "STARTING", "RUNNING", "RUNNING", end)[stage],
        submitted_at=submitted,
        start_at=times[2] if stage >= 2 else None,
        end_at=times[4] if stage == 4 else None,
        last_recovered_at=times[3] if stage >= 3 else None,
        job_duration_s=float(dice.randrange(7200, 18_000)) if stage == 4 else 0.0,
        recovery_count=int(stage >= 3),
        details="Launching (1 pending)" if stage == 1 else None,
        failure_reason="Job exited with exit code 1" if stage == 4 and end == "FAILED" else None,
        resources="1x[L4:1][Spot]",
        cloud="GCP" if stage else None,
        region=zone and zone[:-2],
        zone=zone,
        infra=zone and f"GCP ({zone})",
        user_name="alice",
        user_hash="ab12cd34",
        workspace="default",
        price_usd_per_h=0.22,
        price_source="catalog",
    )


def look(poll_id: int) -> Poll:
    """Build a successful poll with jitter in clock and latency."""
    dice = random.Random(poll_id)
    time = START + timedelta(minutes=poll_id - 1, microseconds=dice.randrange(3_000_000))
    return Poll(time, SOURCE, 1.8 + dice.random() / 2, started(poll_id) + 7)


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
