"""Find the jobs that match an experiment's conditions, by their metadata or their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fmon.job_key import job_id_of
from fmon.model import EPOCH
from fmon.sky.endpoint import current_user
from fmon.sky.status import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.model import Entry, Manifest, Record

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Job:
    """All tasks of one managed job."""

    job_key: int
    tasks: list[Record]

    @property
    def name(self) -> str | None:
        """Name of the job, never of a task."""
        return self.tasks[0].job_name

    @property
    def user_hash(self) -> str | None:
        """SkyPilot's id of the user who submitted it."""
        return self.tasks[0].user_hash

    @property
    def tag(self) -> Record | None:
        """The task with fmon's metadata."""
        return next((task for task in self.tasks if task.fmon_experiment is not None), None)

    @property
    def submitted_at(self) -> datetime | None:
        """Time the job was submitted [UTC]."""
        times = [task.submitted_at for task in self.tasks if task.submitted_at is not None]
        return EPOCH + timedelta(microseconds=min(times)) if times else None

    @property
    def has_ended(self) -> bool:
        """Whether all tasks are terminal."""
        return all(is_terminal(task.status) for task in self.tasks)

    def order(self) -> tuple[datetime, int]:
        """Return a key to sort by submission; ids are in any order when launches run in parallel."""
        return self.submitted_at or _LAST, self.job_key


@dataclass(frozen=True)
class Claim:
    """A job that matches a condition by its metadata or its name."""

    job: Job
    entry: Entry
    cycle: int


def find_claims(
    manifest: Manifest, jobs: list[Job], known: Mapping[int, Entry], owned: set[tuple[int, str]]
) -> tuple[dict[str, list[Claim]], str | None, list[str]]:
    """Find the jobs that match a condition by metadata or by name.

    Parameters
    ----------
    manifest
        The experiment.
    jobs
        Jobs that are not in the manifest.
    known
        Entries of the manifest by job_key.
    owned
        (job_id, job name) of other experiments' attempts.

    Returns
    -------
    tuple
        Claims by condition; the user whose jobs belong to the experiment; the users to choose from if that
        is ambiguous, and then no job is matched by name.
    """
    by_name = {entry.job_name: entry for entry in manifest.jobs}
    by_id = {entry.condition: entry for entry in manifest.jobs}
    claims: dict[str, list[Claim]] = defaultdict(list)
    named: list[Claim] = []
    for job in jobs:
        tag = job.tag
        if job.job_key in known:
            continue  # an id that the manifest gives to another condition
        if tag is not None:
            entry = by_id.get(tag.fmon_condition or "")
            if entry is not None and _names_this(manifest, tag.fmon_experiment):
                claims[entry.condition].append(Claim(job, entry, tag.fmon_cycle or 0))
        elif (
            job.name in by_name
            and (job_id_of(job.job_key), job.name) not in owned
            and _may_belong(manifest, job)
        ):
            entry = by_name[job.name]
            named.append(Claim(job, entry, entry.relaunch_batch))
    users = {claim.job.user_hash for claims_ in claims.values() for claim in claims_} - {None}
    user_hash, ambiguous = _choose_user(manifest, named, default=next(iter(users), None))
    if not ambiguous:
        for claim in named:
            if claim.job.user_hash in (None, user_hash):
                claims[claim.entry.condition].append(claim)
    return claims, user_hash, ambiguous


def _names_this(manifest: Manifest, experiment_id: str | None) -> bool:
    """Return whether metadata names this experiment; for a replay, which has another id, by its name."""
    if manifest.is_replay and experiment_id is not None:
        return experiment_id.rpartition("-")[0] == manifest.experiment_name
    return experiment_id == manifest.experiment_id


def _may_belong(manifest: Manifest, job: Job) -> bool:
    """Return whether a job was not rejected and not submitted before ``since``, if that is set."""
    if manifest.rejected_jobs.get(str(job.job_key)) == job.name:
        return False
    return manifest.since is None or (job.submitted_at is not None and job.submitted_at >= manifest.since)


def _choose_user(
    manifest: Manifest, named: list[Claim], *, default: str | None
) -> tuple[str | None, list[str]]:
    """Choose the user whose jobs to match: the experiment's, else the current one, else the only one."""
    if manifest.user_hash or not named:
        return manifest.user_hash or default, []
    users = Counter(claim.job.user_hash for claim in named)
    ours = None if manifest.is_replay else current_user()
    if not manifest.is_replay and (ours in users or None in users):
        return ours, []
    del users[None]
    if len(users) <= 1:
        return next(iter(users), default), []
    (first, most), (_, second) = users.most_common(2)
    if manifest.is_replay and most > second:
        return first, []  # a recording was made for this experiment: most of its jobs are the experiment's
    return None, sorted(user for user in users if user)
