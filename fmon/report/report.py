"""Phase 6, report: what became of every condition, as JSONL and as one HTML page.

Reads the views, asks SkyPilot what it says that the ended jobs have cost and MLflow for their runs. Writes
both files, then copies status, times, costs and run ids into the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from fmon.diagnose.excerpt import excerpt
from fmon.errors import QueueError, TrackingError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.report import failure_queries, jsonl, queries
from fmon.report.jsonl import LAST, LINES, MACROS
from fmon.report.page import timeline
from fmon.report.page.facts import gather
from fmon.report.page.render import render
from fmon.store.durable import lock, write_chunks_durably, write_durably
from fmon.store.folder import POLL_WAIT_S, poll_lock
from fmon.store.runs import read_runs, write_runs
from fmon.text import json_text
from fmon.warehouse import column, rows, typed_rows
from fmon.warehouse.load import bind_reported, bind_runs
from fmon.warehouse.views import recompute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from fmon.model import Manifest, Tracking
    from fmon.store.folder import Store
    from fmon.study import Study
    from fmon.warehouse.result import Row

    Ask = Callable[[Mapping[int, list[str]], int], dict[int, float]]

    Track = Callable[[Tracking, datetime], Sequence[Row]]


QUERIES = [
    text
    for module in (queries, failure_queries, timeline, jsonl)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and "select" in text
]
"""What is asked; ``connect`` makes the views for it."""

LINES_AT_A_TIME = 20_000
"""Conditions; each batch of them looks through all jobs once, all in one would take half a gigabyte more."""


class LiveFields(msgspec.Struct, frozen=True):
    """What the manifest copies of a condition: the columns of ``LIVE_FIELDS``."""

    condition_id: str
    job_id: int | None
    status: str | None
    start_at: datetime | None
    end_at: datetime | None
    run_s: float | None
    cost_usd: float | None
    run_id: str | None


class EndedJob(msgspec.Struct, frozen=True):
    """A job that SkyPilot knows the cost of: the columns of ``ENDED_AT_SKYPILOT``."""

    job_id: int
    task_names: list[str]
    submitted_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reported:
    """The two files of a report, and what is not in it: SkyPilot's own costs, MLflow's runs of today."""

    jsonl: Path
    html: Path
    unreconciled: str | None
    untracked: str | None


def report(
    study: Study,
    out: Path,
    *,
    ask: Ask | None = None,
    track: Track | None = None,
    now: datetime | None = None,
) -> Reported:
    """Write the report of an experiment, also while its jobs still run.

    Parameters
    ----------
    study
        The experiment.
    out
        Folder of the reports; made where it is missing.
    ask
        ``fmon.sky.costs.reported_costs``; None = SkyPilot is not asked. It never is about a recording, nor
        where it was not what polls looked at.
    track
        ``fmon.clients.mlflow.tracked_runs``, asked where the config names an MLflow; None = it is not
        asked. Without an answer the report shows the runs of the last one.
    now
        The clock that open jobs are measured by [UTC]; None = the wall clock. A replayed experiment has its
        own, so its report is always the same.

    Returns
    -------
    Reported
        ``factorial_run_<experiment_id>.jsonl``: one object per condition, the last line sums up;
        ``.html``: one page that needs no network and stays below a megabyte.

    Raises
    ------
    StoreError
        A file can't be written; what stood there before is intact.
    """
    store = study.store
    con = study.connect(QUERIES, now=now)
    (as_of,) = column(con, queries.NOW)
    costs, unreconciled = _ask(con, ask, as_of=as_of) if ask else ({}, None)
    mlflow = study.manifest.mlflow
    _note(study.manifest, costs, as_of=as_of)
    untracked = _track(con, store, mlflow, track) if mlflow and track else None
    if costs:
        bind_reported(con, [study.manifest])
        recompute(con, ["reported_cost"])
    if mlflow and track:
        bind_runs(con, [store])
        recompute(con, ["tracked_run"])
    con.execute(MACROS)
    name = f"factorial_run_{store.experiment_id}"
    reported = Reported(
        jsonl=out / f"{name}.jsonl",
        html=out / f"{name}.html",
        unreconciled=unreconciled,
        untracked=untracked,
    )
    facts = gather(
        partial(rows, con), partial(excerpt, store), unreconciled=unreconciled, untracked=untracked
    )
    write_chunks_durably(reported.jsonl, _lines(con))
    write_durably(reported.html, render(facts).encode())
    _refresh(study, typed_rows(con, queries.LIVE_FIELDS, LiveFields), costs, as_of=as_of)
    return reported


def _ask(con: duckdb.DuckDBPyConnection, ask: Ask, *, as_of: datetime) -> tuple[dict[int, float], str | None]:
    """Ask SkyPilot for its costs of the ended jobs; without an answer the report is made all the same."""
    jobs = typed_rows(con, queries.ENDED_AT_SKYPILOT, EndedJob)
    if not jobs:
        return {}, None
    days = (as_of - min(job.submitted_at for job in jobs)).days + 2
    try:
        costs = ask({job.job_id: job.task_names for job in jobs}, days)
    except QueueError as fault:
        return {}, f"the report is made without asking SkyPilot for its own costs: {fault}"
    if not costs:
        return {}, f"SkyPilot's cost report has no cost of any of the {len(jobs)} ended jobs"
    return costs, None


def _track(con: duckdb.DuckDBPyConnection, store: Store, settings: Tracking, track: Track) -> str | None:
    """Ask MLflow for the runs and keep them; without an answer those of the last one stay."""
    (since,) = column(con, queries.RUNS_SINCE)
    if since is None:
        return None
    try:
        write_runs(store, track(settings, since))
    except TrackingError as fault:
        kept = "the runs it told of before" if read_runs(store) else "no runs"
        return f"the report is made with {kept}: {fault}"
    return None


def _note(manifest: Manifest, costs: dict[int, float], *, as_of: datetime) -> None:
    """Add what SkyPilot says to the manifest; what it once said of an ended job stays."""
    if costs:
        manifest.reported_costs |= {str(job_id): usd for job_id, usd in costs.items()}
        manifest.reported_as_of = as_of


def _lines(con: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    """Give the JSONL, some conditions at a time, then the summary."""
    last = column(con, LAST)[0] or 0
    for first in range(0, last + 1, LINES_AT_A_TIME):
        found = column(con, LINES, {"first": first, "last": first + LINES_AT_A_TIME - 1})
        yield "".join(f"{line}\n" for line in found).encode()
    yield f"{json_text(_summary(con))}\n".encode()


def _summary(con: duckdb.DuckDBPyConnection) -> Row:
    """Sum the experiment up for the last line of the JSONL."""
    experiment = rows(con, queries.EXPERIMENT)[0]
    as_of = experiment.pop("now_at")
    reconciled = rows(con, queries.RECONCILED)
    return {
        "summary": True,
        **experiment,
        "as_of": as_of,
        **rows(con, queries.SUMMARY)[0],
        "cycles": rows(con, queries.CYCLES),
        **({"reported": reconciled[0]} if reconciled else {}),
        "alarms": rows(con, queries.ALARM_COUNTS),
        "polls": rows(con, queries.POLLS)[0],
    }


def _refresh(study: Study, live: list[LiveFields], costs: dict[int, float], *, as_of: datetime) -> None:
    """Copy status, times and cost into the manifest for those who read only that; no view does."""
    by_condition = {row.condition_id: row for row in live}
    with lock(poll_lock(study.data), wait_s=POLL_WAIT_S):
        manifest = read_manifest(study.store)  # a poll may have attached jobs meanwhile
        for entry in manifest.jobs:
            row = by_condition.get(entry.condition)
            if row is None or row.job_id != entry.job_id:
                continue  # the condition got another job while the report was written
            entry.status = row.status
            entry.start_time, entry.end_time = row.start_at, row.end_at
            entry.duration_seconds, entry.cost_usd = row.run_s, row.cost_usd
            entry.mlflow_run_id = row.run_id
        manifest.as_of = as_of
        _note(manifest, costs, as_of=as_of)
        write_manifest(study.store, manifest)
