"""Identify the job of a queue record: a job is its id plus its submission time.

SkyPilot writes the submission time once, when a job leaves PENDING, and reuses ids after a jobs controller is
torn down (docs/decisions/0029).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.job_key import job_id_of, later_key
from fmon.sky.status import STATUSES, is_terminal
from fmon.store.state import read_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fmon.model import Entry, Manifest, Record
    from fmon.store.folder import Store

CORRECTION_US = 60_000_000
"""Smallest difference between two jobs' submission times: sources round them, and clocks are corrected."""

WAITING = frozenset(known.status for known in STATUSES if known.step == "waiting")
"""Statuses of jobs that SkyPilot has not started to launch; only they have no submission time yet."""

COLUMNS = ["job_key", "job_name", "status", "submitted_at", "end_at", "is_seen"]


class StoredJob(NamedTuple):
    """A job as of the last poll that saw it, all tasks together; times in microseconds."""

    key: int
    name: str | None
    submitted_at: int | None
    end_at: int | None
    has_ended: bool
    is_seen: bool


def stored_jobs(store: Store) -> dict[int, list[StoredJob]]:
    """Return the jobs in the store's state by job id, oldest first."""
    by_id: dict[int, list[StoredJob]] = {}
    _add(by_id, zip(*read_columns(store, COLUMNS), strict=True))
    return by_id


def remember(known: dict[int, list[StoredJob]], records: Iterable[Record]) -> None:
    """Update known jobs from an answer whose records are identified, for a caller without a store."""
    _add(known, ((*(getattr(record, name) for name in COLUMNS[:-1]), True) for record in records))


def _add(known: dict[int, list[StoredJob]], rows: Iterable[tuple[Any, ...]]) -> None:
    """Replace or add jobs by their rows of ``COLUMNS``."""
    jobs: dict[int, StoredJob] = {}
    for key, name, status, submitted_at, end_at, is_seen in rows:
        task = StoredJob(key, name, submitted_at, end_at, is_terminal(status), is_seen)
        jobs[key] = _together(jobs[key], task) if key in jobs else task
    for key in sorted(jobs):
        of_id = [job for job in known.get(job_id_of(key), ()) if job.key != key]
        known[job_id_of(key)] = sorted([*of_id, jobs[key]])


def manifest_attempts(manifest: Manifest) -> dict[int, dict[int, Entry]]:
    """Return the keys of all attempts by job id, with the condition of each."""
    attempts: dict[int, dict[int, Entry]] = {}
    for entry in manifest.jobs:
        for key in entry.job_keys:
            attempts.setdefault(job_id_of(key), {})[key] = entry
    return attempts


def is_job_of(record: Record, key: int, entry: Entry, manifest: Manifest) -> bool:
    """Return whether a record may be of a condition's job, by its name or its metadata.

    Both are compared: the metadata of a job may be lost, and a job that was adopted has its own name.
    """
    return (
        record.job_name in (None, entry.job_name)
        or record.fmon_condition == entry.condition
        or record.job_name == manifest.adopted_names.get(str(key))
    )


def assume_newest(records: Iterable[Record], manifest: Manifest) -> None:
    """Give each record the newest key that the manifest has for its id, without reading the state.

    If the records are those of the last poll, nothing can have changed, and this is enough. A record with
    another name than that attempt's is of a later job.
    """
    attempts = manifest_attempts(manifest)
    for record in records:
        record.job_key = record.job_id  # an experiment before this one may have set another
        if of_id := attempts.get(record.job_id):
            newest = max(of_id)
            is_attempt = is_job_of(record, newest, of_id[newest], manifest)
            record.job_key = newest if is_attempt else later_key({*of_id}, record.job_id)


def identify(
    records: Sequence[Record], stored: Mapping[int, Sequence[StoredJob]], manifest: Manifest
) -> bool:
    """Set the key of each record; return whether any has changed.

    Parameters
    ----------
    records
        An answer of the queue.
    stored
        The jobs in the experiment's state.
    manifest
        The experiment; an attempt that no poll has shown yet is newer than all stored jobs with its id.
    """
    of_manifest = manifest_attempts(manifest)
    tasks: dict[int, list[Record]] = {}
    for record in records:
        if record.job_id in stored or record.job_id in of_manifest:
            tasks.setdefault(record.job_id, []).append(record)
    is_changed = False
    for job_id, job in tasks.items():
        attempts = of_manifest.get(job_id, {})
        may_be = {key for key, entry in attempts.items() if is_job_of(job[0], key, entry, manifest)}
        key = _key(job, stored.get(job_id, ()), {*attempts}, may_be)
        if key not in attempts:
            key = _key_by_metadata(job, manifest, attempts) or key
        for record in job:
            is_changed = is_changed or record.job_key != key
            record.job_key = key
    return is_changed


def _key_by_metadata(
    tasks: Sequence[Record], manifest: Manifest, attempts: Mapping[int, Entry]
) -> int | None:
    """Return the key of the attempt that a job's metadata names; None = it names none with this id.

    An attempt is one job: it is the same one even if SkyPilot has submitted it anew.
    """
    named = {
        (task.fmon_condition, task.fmon_cycle or 0)
        for task in tasks
        if task.fmon_experiment == manifest.experiment_id
    }
    newest_first = sorted(attempts.items(), reverse=True) if named else ()
    return next((key for key, entry in newest_first if (entry.condition, _cycle(entry, key)) in named), None)


def _cycle(entry: Entry, key: int) -> int:
    """Return the cycle of one of a condition's attempts."""
    if key == entry.job_key:
        return entry.relaunch_batch
    return next(attempt.cycle for attempt in entry.attempts if attempt.job_key == key)


def new_key(store: Store, manifest: Manifest, job_id: int, *, name: str) -> int:
    """Return the key of a job that was just submitted.

    Whatever has its id is an earlier job, unless a poll has seen it in the meantime: then the queue lists a
    job of this name that the manifest does not have.
    """
    of_manifest = {*manifest_attempts(manifest).get(job_id, ())}
    stored = stored_jobs(store).get(job_id, [])
    for job in stored:
        if job.is_seen and job.name == name and job.key not in of_manifest:
            return job.key
    return later_key({job.key for job in stored} | of_manifest, job_id)


def holders(store: Store, records: Iterable[Record]) -> dict[int, int | None]:
    """Return the key of the experiment's job that has each id in the queue; None = another's job has it.

    Parameters
    ----------
    store
        The experiment, with the answer stored.
    records
        The answer.
    """
    found: dict[int, int | None] = dict.fromkeys(record.job_id for record in records)
    for jobs in stored_jobs(store).values():
        found.update((job_id_of(job.key), job.key) for job in jobs if job.is_seen)
    return found


def is_same_job(stored: StoredJob, tasks: Sequence[Record]) -> bool:
    """Return whether a job of the queue is a stored one with the same id.

    Parameters
    ----------
    stored
        The stored job.
    tasks
        The records of the job in the queue.
    """
    name = tasks[0].job_name
    if name is not None and stored.name is not None and name != stored.name:
        return False
    submitted_at = min((task.submitted_at for task in tasks if task.submitted_at is not None), default=None)
    if submitted_at is None:
        # SkyPilot keeps a time that it has written: a job without one has never been started.
        return stored.submitted_at is None or not all(map(_is_waiting, tasks))
    is_over = stored.has_ended and stored.end_at is not None and submitted_at > stored.end_at
    if is_over and stored.end_at not in {task.end_at for task in tasks}:
        return False
    return stored.submitted_at is None or abs(submitted_at - stored.submitted_at) < CORRECTION_US


def _key(
    tasks: Sequence[Record], stored: Sequence[StoredJob], of_manifest: set[int], may_be: set[int]
) -> int:
    """Return the key of a job; ``may_be`` are the jobs of the manifest that have its name."""
    for job in reversed(stored):
        if is_same_job(job, tasks):
            return job.key
    newest = max((job.key for job in stored), default=-1)
    unseen = [key for key in may_be if key > newest]
    return max(unseen, default=None) or later_key({job.key for job in stored} | of_manifest, tasks[0].job_id)


def _is_waiting(task: Record) -> bool:
    return task.status in WAITING and task.start_at is None and task.end_at is None


def _together(job: StoredJob, task: StoredJob) -> StoredJob:
    """Add a task to a job."""
    submitted = [time for time in (job.submitted_at, task.submitted_at) if time is not None]
    ended = [time for time in (job.end_at, task.end_at) if time is not None]
    return job._replace(
        submitted_at=min(submitted, default=None),
        end_at=max(ended, default=None),
        has_ended=job.has_ended and task.has_ended,
        is_seen=job.is_seen or task.is_seen,
    )
