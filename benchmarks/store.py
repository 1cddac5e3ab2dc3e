"""The store: a quiet poll compared with a bare Parquet write, and a year of polls with its first day.

Baseline of the quiet poll: ``pyarrow.parquet.write_table`` of the full table of all jobs, which is built
before; once without protection against a crash, and once with fsync and rename, as fmon writes.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fmon.store.lean import import_pyarrow_alone

import_pyarrow_alone()

import pyarrow.parquet as pq  # noqa: E402
from year import build_year, look, record_of  # noqa: E402

from fmon.store.arrow import STATE, read_log_file, table_of  # noqa: E402
from fmon.store.changes import ROW, changed_rows  # noqa: E402
from fmon.store.folder import Store, stores  # noqa: E402
from fmon.store.log import append  # noqa: E402
from fmon.store.reading import reading_set  # noqa: E402

GOALS = {24: 2.5, 10_000: 1.0, 100_000: 1.0}


def timed(*calls: Callable[[], object], repeats: int) -> list[float]:
    """Run calls in turn, so that other load affects all of them; return the median of each [ms]."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, own in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            own.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(own) for own in taken]


def quiet_poll(folder: Path, count: int) -> None:
    store = Store(folder / f"quiet{count}")
    store.path.mkdir()
    records = [record_of(job, 3) for job in range(count)]
    append(store, look(1), records)
    rows = changed_rows({}, records)
    full = table_of(dict(zip(ROW, map(list, zip(*rows, strict=True)), strict=True)), STATE)
    polls = iter(range(2, 10_000))

    def bare() -> None:
        pq.write_table(full, folder / "bare.parquet")

    def safe() -> None:
        pq.write_table(full, folder / "temp.parquet")
        for path, flags in ((folder / "temp.parquet", os.O_RDONLY), (folder, os.O_DIRECTORY)):
            handle = os.open(path, flags)
            os.fsync(handle)
            os.close(handle)
            if path.suffix:
                path.rename(folder / "safe.parquet")

    repeats = 50 if count < 1000 else 15
    quiet_ms, bare_ms, safe_ms = timed(
        lambda: append(store, look(next(polls)), records), bare, safe, repeats=repeats
    )
    print(
        f"quiet poll, {count:>7,} jobs: {quiet_ms:6.1f} ms = {quiet_ms / bare_ms:.2f} x a bare write of the "
        f"full table without fsync ({bare_ms:.1f} ms; goal {GOALS[count]}), {quiet_ms / safe_ms:.2f} x one "
        f"with fsync and rename ({safe_ms:.1f} ms)"
    )


def year(folder: Path) -> None:
    first, whole = (build(folder / f"days{days}", days) for days in (1, 365))
    for name, store in (("first day", first), ("year", whole)):
        paths = reading_set(store)
        size = sum(path.stat().st_size for path in store.path.rglob("*.parquet")) / 1e6
        live = sum(path.stat().st_size for path in paths) / 1e6
        listed_ms, read_ms = timed(
            lambda store=store: reading_set(store),
            lambda paths=paths: [read_log_file(path) for path in paths],
            repeats=5,
        )
        print(
            f"{name}: {len(paths)} live files (goal <= 200), {live:.2f} MB live, {size:.2f} MB with state "
            f"and files in their grace period (goal <= 10); reading set {listed_ms:.1f} ms, "
            f"reading all {read_ms:.0f} ms"
        )


def build(folder: Path, days: int) -> Store:
    start = time.perf_counter()
    store = build_year(folder, days=days)
    print(f"built {days} days in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return store


def ended(folder: Path) -> None:
    """Time the search for open experiments among one and among 366."""
    took = {}
    for count in (1, 366):
        data = folder / f"ended{count}"
        for number in range(count):
            (data / f"e{number:03}-20260101T000000Z").mkdir(parents=True)
            (data / f"e{number:03}-20260101T000000Z" / "manifest.json").touch()
            (data / f"e{number:03}-20260101T000000Z" / "closed").touch()
        (took[count],) = timed(
            lambda data=data: [store for store in stores(data) if not store.is_closed], repeats=20
        )
    print(f"search for open experiments: {took[366]:.2f} ms among 366, {took[1]:.2f} ms for one alone")


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(prefix="fmon-bench-"))
    try:
        for jobs in GOALS:
            quiet_poll(home, jobs)
        year(home)
        ended(home)
    finally:
        shutil.rmtree(home)
