"""Find the failed job tasks of an experiment, each with its effective ending."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from fmon.sky.reader import LogRequest
from fmon.sky.status import failed_statuses, is_terminal
from fmon.store.state import read_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.store.findings import Finding, Key
    from fmon.store.folder import Store

EFFECTIVE = """
select
    effective_status.job_key,
    effective_status.task_id,
    effective_status.status,
    coalesce(snapshot.failure_reason, snapshot.details) as failure_reason,
    epoch_us(effective_status.end_at) as end_at
from effective_status
inner join snapshot
    on
        effective_status.experiment_id = snapshot.experiment_id
        and effective_status.job_key = snapshot.job_key
        and effective_status.task_id = snapshot.task_id
        and effective_status.status_poll_id = snapshot.poll_id
qualify
    row_number() over (
        partition by effective_status.experiment_id, effective_status.job_key, effective_status.task_id
        order by effective_status.poll_id desc
    ) = 1
"""


class FailedTask(msgspec.Struct, frozen=True):
    """A failed job task as of the last poll; the reason may be that in SkyPilot's details."""

    job_key: int
    task_id: int
    status: str
    failure_reason: str | None
    end_at: int | None
    """End of its run [us since the epoch]; None = unknown."""
    has_open_tasks: bool
    """Whether its job has tasks that have not ended."""
    is_seen: bool = True
    """Whether the last poll listed its job."""

    @property
    def logs(self) -> tuple[LogRequest, LogRequest]:
        """The log of the job and that of its controller."""
        return LogRequest.of(self.job_key), LogRequest.of(self.job_key, is_controller=True)


def failed_tasks(store: Store, known: Mapping[Key, Finding]) -> list[FailedTask]:
    """Return the failed job tasks, each with its effective status, reason and end.

    Parameters
    ----------
    store
        The experiment.
    known
        The findings so far; the views are queried only if a task has none.
    """
    failed = failed_statuses()
    names = ["job_key", "task_id", "status", "failure_reason", "details", "end_at", "is_seen"]
    rows = list(zip(*read_columns(store, names), strict=True))
    open_jobs = {key for key, _, status, *_ in rows if not is_terminal(status)}
    tasks = [
        FailedTask(key, task_id, status, reason or details, end_at, key in open_jobs, is_seen)
        for key, task_id, status, reason, details, end_at, is_seen in rows
        if status in failed
    ]
    if all(is_about(known.get((task.job_key, task.task_id)), task) for task in tasks):
        return tasks
    changed = _effective_endings(store)
    counted = [_with_ending(task, changed.get((task.job_key, task.task_id))) for task in tasks]
    return [task for task in counted if task.status in failed]


def _with_ending(task: FailedTask, ending: _EffectiveEnding | None) -> FailedTask:
    """Return the task with its effective ending."""
    if ending is None:
        return task
    return msgspec.structs.replace(
        task, status=ending.status, failure_reason=ending.failure_reason, end_at=ending.end_at
    )


class _EffectiveEnding(msgspec.Struct, frozen=True):
    """The effective status, reason and end of a job task whose ending changed."""

    job_key: int
    task_id: int
    status: str
    failure_reason: str | None
    end_at: int | None


def _effective_endings(store: Store) -> dict[Key, _EffectiveEnding]:
    """Return the effective endings of the job tasks whose ending changed."""
    from fmon.manifest.stored import StoredExperiment
    from fmon.warehouse import open_views, typed_rows  # loads DuckDB, so only done for new failures

    with closing(open_views(StoredExperiment(store), queries=(EFFECTIVE,))) as con:
        return {(row.job_key, row.task_id): row for row in typed_rows(con, EFFECTIVE, _EffectiveEnding)}


def is_about(finding: Finding | None, task: FailedTask) -> bool:
    """Return whether a finding is about this end of the task."""
    return finding is not None and finding["end_at"] == task.end_at
