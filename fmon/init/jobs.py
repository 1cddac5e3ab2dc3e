"""The jobs of the queue with their variables, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fmon.config.placeholders import VARIABLE
from fmon.config.task import parse_task
from fmon.errors import ConfigError
from fmon.model import EPOCH, level_text
from fmon.redact import redact
from fmon.sky.user_yaml import NOT_COMPARED, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fmon.config.task import Task
    from fmon.model import Record
    from fmon.sky.reader import JobSpec

Variables = Mapping[str, str]
"""Values by name of variable."""

MAX_VALUES = 10_000
MAX_NUMBER = 2**63
RESOURCE = "resources."
"""Prefix of resources among the variables."""
_VARYING_KEYS = frozenset({"name", "envs", "secrets", "resources", "_metadata"})
"""Keys of a task that differ between the jobs of an experiment."""
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """A job of the queue.

    Attributes
    ----------
    user
        SkyPilot's id of the user who submitted it.
    launched_by
        The experiment of fmon that launched it; None = fmon did not.
    envs
        Its variables, without those that look like secrets or get their values from outside.
    withheld
        Names of those variables.
    misnamed
        Names of its variables that no shell could read, such as ``a.b``; they are not in ``envs``.
    resources
        Those of its first task that are not lists or mappings, as text, with the prefix RESOURCE.
    program
        A hash of what the task runs; None = not recorded.
    task_file
        The task YAML on the command line that submitted it.
    minutes
        How long it ran; None if it did not succeed.
    has_task_name
        Whether its name is the one in the task YAML: nobody gave it a name of its own.
    """

    job_id: int
    name: str
    submitted_at: datetime | None
    user: str | None
    launched_by: str | None
    envs: Variables = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    misnamed: frozenset[str] = frozenset()
    resources: Variables = field(default_factory=dict)
    program: str | None = None
    task_file: str | None = None
    minutes: float | None = None
    has_task_name: bool = False

    def order(self) -> tuple[datetime, int]:
        """Return a key to sort by submission."""
        return self.submitted_at or _LAST, self.job_id


def queued_jobs(records: Iterable[Record], specs: Mapping[int, JobSpec]) -> list[QueuedJob]:
    """Return the jobs with a name, by submission.

    Parameters
    ----------
    records
        Records of the queue, one per job task.
    specs
        What SkyPilot recorded for the jobs, as far as it is known.
    """
    tasks: dict[int, list[Record]] = {}
    for record in records:
        if record.job_name:
            tasks.setdefault(record.job_id, []).append(record)
    return sorted((_job(each, specs.get(job_id)) for job_id, each in tasks.items()), key=QueuedJob.order)


def _job(tasks: Sequence[Record], spec: JobSpec | None) -> QueuedJob:
    first, task = tasks[0], _task(spec)
    envs = (variables_of(spec.user_yaml, spec.entrypoint) if spec else None) or {}
    envs = {name: value for name, value in envs.items() if name not in NOT_COMPARED}
    withheld = frozenset(name for name, value in envs.items() if is_withheld(name, value))
    misnamed = frozenset(name for name in envs if not is_variable(name))
    return QueuedJob(
        job_id=first.job_id,
        name=first.job_name or "",
        submitted_at=_time(task.submitted_at for task in tasks),
        user=first.user_hash,
        launched_by=next((task.fmon_experiment for task in tasks if task.fmon_experiment), None),
        envs={name: value for name, value in envs.items() if name not in withheld | misnamed},
        withheld=withheld - misnamed,
        misnamed=misnamed,
        resources=_resources(task) if task else {},
        program=_program(task.documents) if task else None,
        task_file=_task_file(spec),
        minutes=_minutes(tasks),
        has_task_name=task is not None and task.documents[0].get("name") == first.job_name,
    )


def is_variable(name: str) -> bool:
    """Return whether a name is one that a variable can have."""
    return re.fullmatch(VARIABLE, name) is not None


def is_withheld(name: str, value: str) -> bool:
    """Return whether a variable looks like a secret, or gets its value from outside.

    Examples
    --------
    >>> is_withheld("HF_TOKEN", "abc"), is_withheld("URI", "${URI}"), is_withheld("FOLD_ID", "0")
    (True, True, False)
    """
    text = f"{name}={value}"
    return "${" in value or redact(text) != text or redact(value) != value


def _time(times: Iterable[int | None]) -> datetime | None:
    known = [time for time in times if time is not None]
    return EPOCH + timedelta(microseconds=min(known)) if known else None


def _minutes(tasks: Sequence[Record]) -> float | None:
    """Return the run time of all tasks together; None if one did not succeed."""
    if any(task.status != "SUCCEEDED" or task.job_duration_s is None for task in tasks):
        return None
    return sum(task.job_duration_s or 0 for task in tasks) / 60


def _task(spec: JobSpec | None) -> Task | None:
    """Return the task that SkyPilot recorded; None if it did not, or can't be read."""
    try:
        return parse_task(Path("task.yaml"), spec.user_yaml) if spec and spec.user_yaml else None
    except (ConfigError, ValueError, RecursionError):  # such as an integer of thousands of digits as a key
        return None


def _resources(task: Task) -> dict[str, str]:
    """Return the resources of the first task that are not lists or mappings."""
    return {
        f"{RESOURCE}{name}": str(value) if isinstance(value, str) else level_text(value)
        for name, value in next(iter(task.resources), {}).items()
        if isinstance(value, str) or (isinstance(value, bool | int | float) and abs(value) < MAX_NUMBER)
    }


def _program(documents: Iterable[dict[str, Any]]) -> str | None:
    """Return a hash of a task without what differs between the jobs of an experiment.

    None if the task is huge: aliases multiply, and may even contain themselves.
    """
    found = blake2s(digest_size=8)
    stack: list[Any] = [
        {key: value for key, value in document.items() if key not in _VARYING_KEYS} for document in documents
    ]
    for _ in range(MAX_VALUES):
        if not stack:
            return found.hexdigest()
        value = stack.pop()
        try:
            found.update(f"{_label(value)}\0".encode(errors="replace"))
        except ValueError:  # an integer of thousands of digits
            return None
        if isinstance(value, dict):
            stack += [each for pair in value.items() for each in pair]
        elif isinstance(value, list):
            stack += value
    return None


def _label(value: Any) -> str:
    """Return a value as text; for a collection, only its type and size."""
    return f"{type(value).__name__} {len(value)}" if isinstance(value, dict | list) else repr(value)


def _task_file(spec: JobSpec | None) -> str | None:
    """Return the task YAML on a command line; of an absolute path only the file's name."""
    words = [word.strip("'\"") for word in ((spec.entrypoint or "") if spec else "").split()]
    files = [word for word in words if word.endswith((".yaml", ".yml")) and "=" not in word]
    if not files:
        return None
    path = PurePosixPath(files[-1])
    return path.name if path.is_absolute() or ".." in path.parts else str(path)
