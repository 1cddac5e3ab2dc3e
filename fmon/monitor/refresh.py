"""Copy status, times, cost and cause of every condition from the views into the manifest.

The views define these values. The copies are for programs that read nothing but ``manifest.json``; no view
reads them. A phase copies when it ends, and a poll when it closes the experiment or examines a closed one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from fmon.manifest.file import write_manifest
from fmon.manifest.stored import StoredExperiment
from fmon.store.durable import lock
from fmon.store.folder import POLL_WAIT_S, poll_lock
from fmon.warehouse import open_views, typed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from fmon.model import Entry, Manifest
    from fmon.store.folder import Store

LIVE = """
select
    condition.condition_id,
    condition.status,
    condition.start_at,
    condition.end_at,
    condition.run_s,
    cast(condition.cost_usd as double) as cost_usd,
    run.run_id,
    failure.category,
    failure.root_cause_id
from condition
left join failure
    on condition.condition_id = failure.condition_id and condition.job_key = failure.job_key
left join run on condition.condition_id = run.condition_id and run.is_newest
"""

TOTAL = """
select
    experiment.now_at,
    cast(experiment_summary.cost_usd as double) as cost_usd
from experiment
inner join experiment_summary on experiment.experiment_id = experiment_summary.experiment_id
"""

QUERIES = (LIVE, TOTAL)
"""The queries of this module; ``connect`` creates the views that they need."""


class Live(msgspec.Struct, frozen=True):
    """The values of a condition that the manifest copies: the columns of ``LIVE``."""

    condition_id: str
    status: str | None
    start_at: datetime | None
    end_at: datetime | None
    run_s: float | None
    cost_usd: float | None
    run_id: str | None
    category: str | None
    root_cause_id: str | None


class Total(msgspec.Struct, frozen=True):
    """The time of the values, and the cost of all jobs: the columns of ``TOTAL``."""

    now_at: datetime
    cost_usd: float | None


def refresh(store: Store, *, now: datetime, reported: Mapping[int, float] | None = None) -> None:
    """Copy the values of the views into the manifest; job ids and cycles stay as they are.

    Parameters
    ----------
    store
        The experiment.
    now
        Time up to which open jobs are measured [UTC]; a replayed experiment has its own clock.
    reported
        Costs from SkyPilot's cost report by job, to keep in the manifest [USD]; None = not queried.

    Raises
    ------
    ManifestError, StoreError
        The files of the experiment can't be read, or the manifest can't be written; it is unchanged.
    """
    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S):
        refresh_held(store, now=now, reported=reported)


def refresh_held(store: Store, *, now: datetime, reported: Mapping[int, float] | None = None) -> None:
    """Do the same as ``refresh``; the caller holds the lock of polls.

    Under this lock the manifest and the log belong together: no poll attaches a job meanwhile, and an older
    result never overwrites a newer one.
    """
    stored = StoredExperiment(store)
    copy_live(stored, open_views(stored, now=now, queries=QUERIES), reported=reported)


def copy_live(
    stored: StoredExperiment,
    con: duckdb.DuckDBPyConnection,
    *,
    reported: Mapping[int, float] | None = None,
) -> None:
    """Do the same as ``refresh_held`` with views that are open already.

    Parameters
    ----------
    stored
        The experiment, read under the lock of polls.
    con
        A connection with its views, at least those of ``QUERIES``.
    reported
        As in ``refresh``.
    """
    manifest = stored.manifest
    live = {row.condition_id: row for row in typed_rows(con, LIVE, Live)}
    for entry in manifest.jobs:
        _copy(live[entry.condition], entry)
    (total,) = typed_rows(con, TOTAL, Total)
    manifest.as_of, manifest.total_cost_usd = total.now_at, total.cost_usd
    keep_reported(manifest, reported, as_of=total.now_at)
    write_manifest(stored.store, manifest)


def keep_reported(manifest: Manifest, reported: Mapping[int, float] | None, *, as_of: datetime) -> None:
    """Add SkyPilot's own costs to the manifest in memory; earlier ones of ended jobs are kept."""
    if reported:
        manifest.reported_costs |= {str(key): usd for key, usd in reported.items()}
        manifest.reported_as_of = as_of


def _copy(row: Live, entry: Entry) -> None:
    entry.status = row.status
    entry.start_time, entry.end_time = row.start_at, row.end_at
    entry.duration_seconds, entry.cost_usd = row.run_s, row.cost_usd
    entry.mlflow_run_id = row.run_id
    entry.failure_category, entry.failure_root_cause = row.category, row.root_cause_id
