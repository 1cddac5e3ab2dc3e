"""Phase 6, report: the outcome of every condition, as JSONL and as one HTML page.

Reads the views, asks SkyPilot for its own cost of the ended jobs and MLflow for their runs. Writes both
files, then copies status, times, costs and run ids into the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from fmon.diagnose.excerpt import excerpt
from fmon.errors import QueueError, TrackingError
from fmon.manifest.api_server import SKY, elsewhere_sentence, is_elsewhere
from fmon.model import STATES
from fmon.monitor.refresh import keep_reported, refresh
from fmon.report import failure_queries, jsonl, queries
from fmon.report.jsonl import LAST, LINES, MACROS
from fmon.report.page import timeline
from fmon.report.page.facts import gather
from fmon.report.page.render import render
from fmon.store.durable import write_chunks_durably, write_durably
from fmon.store.read_only import workplace
from fmon.store.runs import read_runs, write_runs
from fmon.study import Study
from fmon.text import cost, cost_source, json_text, listed
from fmon.warehouse import column, rows, typed_rows
from fmon.warehouse.load import bind_reported, bind_runs
from fmon.warehouse.views import recompute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from fmon.model import Manifest, Tracking
    from fmon.store.folder import Store
    from fmon.warehouse.result import Row

    Ask = Callable[[Mapping[int, list[str]], int], dict[int, float]]

    Track = Callable[[Tracking, datetime], Sequence[Row]]


QUERIES = [
    text
    for module in (queries, failure_queries, timeline, jsonl)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and "select" in text
]
"""The queries of the report; ``connect`` creates the views that they need."""

ALWAYS_NAMED = ("succeeded", "failed")

BATCH_SIZE = 20_000
"""Conditions per batch of lines; each batch scans all jobs, but a single one would take 0.5 GB more."""


class EndedJob(msgspec.Struct, frozen=True):
    """A job whose cost SkyPilot knows: the columns of ``ENDED_AT_SKYPILOT``."""

    job_key: int
    task_names: list[str]
    submitted_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reported:
    """The two files of a report, and why SkyPilot's own costs or MLflow's current runs are missing.

    ``sentence`` tells the outcome: conditions by state, the root causes of the failures, the cost.
    ``unrecorded`` says why the manifest was not updated; None = it was.
    """

    sentence: str
    jsonl: Path
    html: Path
    unreconciled: str | None
    untracked: str | None
    unrecorded: str | None = None


def report(
    study: Study,
    out: Path,
    *,
    ask: Ask | None = None,
    track: Track | None = None,
    now: datetime | None = None,
) -> Reported:
    """Write the report of an experiment; its jobs may still be running.

    If its store can't be written, the manifest is not updated and SkyPilot is not asked.

    Parameters
    ----------
    study
        The experiment.
    out
        Directory of the reports; created if it is missing.
    ask
        ``fmon.sky.costs.reported_costs``; None = do not ask SkyPilot. It is never asked about a recording,
        nor if polls read another queue.
    track
        ``fmon.clients.mlflow.tracked_runs``, called if the config names an MLflow; None = do not ask it.
        If it does not answer, the report shows the runs of its last answer.
    now
        Time up to which open jobs are measured [UTC]; None = the wall clock. A replayed experiment has its
        own clock, so its report is always the same.

    Returns
    -------
    Reported
        ``factorial_run_<experiment_id>.jsonl``: one object per condition, and a summary as the last
        line; ``.html``: one page below a megabyte that needs no network.

    Raises
    ------
    StoreError
        A file can't be written; its previous content is intact.
    """
    with workplace(study.store) as (store, unrecorded):
        if unrecorded:
            study, ask = Study(store), None
        return replace(_report(study, out, ask=ask, track=track, now=now), unrecorded=unrecorded)


def _report(
    study: Study, out: Path, *, ask: Ask | None, track: Track | None, now: datetime | None
) -> Reported:
    """Report on a store that can be written; parameters are those of ``report``."""
    store = study.store
    con = study.connect(QUERIES, now=now)
    (as_of,) = column(con, queries.NOW)
    costs, unreconciled = _ask(con, study.manifest, ask, as_of=as_of) if ask else ({}, None)
    mlflow = study.manifest.mlflow
    keep_reported(study.manifest, costs, as_of=as_of)
    untracked = _track(con, store, mlflow, track) if mlflow and track else None
    if costs:
        bind_reported(con, [study.manifest])
        recompute(con, ["reported_cost"])
    if mlflow and track:
        bind_runs(con, [store])
        recompute(con, ["tracked_run"])
    con.execute(MACROS)
    summary = _summary(con)
    name = f"factorial_run_{store.experiment_id}"
    reported = Reported(
        sentence=_sentence(summary),
        jsonl=out / f"{name}.jsonl",
        html=out / f"{name}.html",
        unreconciled=unreconciled,
        untracked=untracked,
    )
    facts = gather(
        partial(rows, con), partial(excerpt, store), unreconciled=unreconciled, untracked=untracked
    )
    write_chunks_durably(reported.jsonl, _lines(con, summary))
    write_durably(reported.html, render(facts).encode())
    refresh(store, now=as_of, reported=costs)
    return reported


def _ask(
    con: duckdb.DuckDBPyConnection, manifest: Manifest, ask: Ask, *, as_of: datetime
) -> tuple[dict[int, float], str | None]:
    """Ask SkyPilot for its costs of the ended jobs; the report does not depend on the answer."""
    jobs = typed_rows(con, queries.ENDED_AT_SKYPILOT, EndedJob)
    if not jobs:
        return {}, None
    days = (as_of - min(job.submitted_at for job in jobs)).days + 2
    try:
        if is_elsewhere(manifest, SKY):
            return {}, f"the report does not have SkyPilot's own costs: {elsewhere_sentence(manifest)}"
        costs = ask({job.job_key: job.task_names for job in jobs}, days)
    except QueueError as fault:
        return {}, f"the report does not have SkyPilot's own costs: {fault}"
    if not costs:
        return {}, f"SkyPilot's cost report has none of the {len(jobs)} ended jobs"
    return costs, None


def _track(con: duckdb.DuckDBPyConnection, store: Store, settings: Tracking, track: Track) -> str | None:
    """Ask MLflow for the runs and store them; without an answer the stored ones are kept."""
    (since,) = column(con, queries.RUNS_SINCE)
    if since is None:
        return None
    try:
        write_runs(store, track(settings, since))
    except TrackingError as fault:
        kept = "the runs that MLflow returned before" if read_runs(store) else "no runs"
        return f"the report has {kept}: {fault}"
    return None


def _lines(con: duckdb.DuckDBPyConnection, summary: Row) -> Iterator[bytes]:
    """Yield the JSONL in batches of conditions, then the summary."""
    last = column(con, LAST)[0] or 0
    for first in range(0, last + 1, BATCH_SIZE):
        found = column(con, LINES, {"first": first, "last": first + BATCH_SIZE - 1})
        yield "".join(f"{line}\n" for line in found).encode()
    yield f"{json_text(summary)}\n".encode()


def _sentence(summary: Row) -> str:
    """Return the outcome in one sentence: always succeeded and failed, other states if there are any."""
    counts = {state: summary[f"{state}_count"] for state in STATES}
    counted = [f"{count:,} {state}" for state, count in counts.items() if count or state in ALWAYS_NAMED]
    causes = [f"{each['root_cause_id']} ({each['failed_count']:,})" for each in summary["root_causes"]]
    source = cost_source(summary["reported_count"], summary["job_count"])
    parts = [
        f"{summary['experiment_id']}: {', '.join(counted)}",
        *([f"root causes: {listed(causes)}"] if causes else []),
        f"total {cost(summary['cost_usd'], summary['unpriced_count'], source)}",
    ]
    return "; ".join(parts)


def _summary(con: duckdb.DuckDBPyConnection) -> Row:
    """Return the summary of the experiment, the last line of the JSONL."""
    experiment = rows(con, queries.EXPERIMENT)[0]
    as_of = experiment.pop("now_at")
    reconciled = rows(con, queries.RECONCILED)
    return {
        "summary": True,
        **experiment,
        "as_of": as_of,
        **rows(con, queries.SUMMARY)[0],
        "root_causes": rows(con, queries.ROOT_CAUSES),
        "cycles": rows(con, queries.CYCLES),
        **({"reported": reconciled[0]} if reconciled else {}),
        "alarms": rows(con, queries.ALARM_COUNTS),
        "polls": rows(con, queries.POLLS)[0],
    }
