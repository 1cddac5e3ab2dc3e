"""The part of a job's log to show: that of the task that failed first, if the job has several tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fmon.sky.log_parts import Part, controller_part_of, is_silent, part_of, printed_instead
from fmon.sky.status import failed_statuses
from fmon.store.state import read_columns

if TYPE_CHECKING:
    from fmon.sky.reader import LogRequest
    from fmon.store.folder import Store


class Task(NamedTuple):
    """A task of a job of several tasks."""

    task_id: int
    name: str | None

    def __str__(self) -> str:
        return f"task {self.task_id} ({self.name})" if self.name else f"task {self.task_id}"


def failed_task(store: Store, key: int) -> Task | None:
    """Return the task of a job that failed first; None if none did, or the job has one task."""
    columns = read_columns(store, ["job_key", "task_id", "task_name", "status", "end_at"])
    tasks = [row[1:] for row in zip(*columns, strict=True) if row[0] == key]
    failed = [task for task in tasks if task[2] in failed_statuses()]
    if len(tasks) < 2 or not failed:
        return None
    task_id, name, _, _ = min(failed, key=lambda task: (task[3] is None, task[3] or 0, task[0]))
    return Task(task_id, name)


def has_failed(store: Store, key: int) -> bool:
    """Return whether a task of a job has failed, and has not run again since."""
    rows = zip(*read_columns(store, ["job_key", "status"]), strict=True)
    return any(job == key and status in failed_statuses() for job, status in rows)


def part_to_show(text: str, request: LogRequest, task: Task | None) -> Part:
    """Return the part of a cleaned log that belongs to a task; without a task the entire log."""
    if task is None:
        return Part(text, text, printed_instead(text), is_silent(text))
    return (controller_part_of if request.is_controller else part_of)(text, task.task_id)
