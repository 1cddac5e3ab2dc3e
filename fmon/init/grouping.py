"""Which jobs of the queue belong together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.sky.endpoint import current_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fmon.init.jobs import QueuedJob

EXPERIMENT_VARIABLES = (
    "EXPERIMENT_NAME",
    "EXPERIMENT",
    "EXPERIMENT_ID",
    "STUDY_NAME",
    "STUDY",
    "SWEEP_NAME",
    "SWEEP",
    "MLFLOW_EXPERIMENT_NAME",
    "WANDB_PROJECT",
)
"""Variables whose value usually names the experiment, the most specific first."""

MIN_SHARE = 4
"""A group with less than a quarter of the jobs of the largest one is not the default."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Jobs that belong together.

    Attributes
    ----------
    name
        Value of the variable that names their experiment; None = there is none.
    jobs
        By submission.
    has_variables
        Whether their variables distinguish them; otherwise only their names do.
    """

    name: str | None
    jobs: list[QueuedJob]
    has_variables: bool

    def description(self) -> str:
        """Return the group in a few words."""
        many = f"{len(self.jobs)} jobs such as {self.jobs[0].name}"
        return f"{many} (experiment {self.name})" if self.name else many


def groups_of(jobs: Sequence[QueuedJob]) -> list[Group]:
    """Group jobs by user, program and experiment, the newest group first; the last ones are single jobs.

    Jobs whose program is unique or unknown are grouped by the shape of their names.
    """
    by_program: dict[tuple[str | None, str | None], list[QueuedJob]] = defaultdict(list)
    for job in jobs:
        by_program[job.user, job.program].append(job)
    named: dict[str | None, list[QueuedJob]] = defaultdict(list)
    groups: list[Group] = []
    for (user, program), members in by_program.items():
        if program is None or len(members) == 1 or not _tell_apart(members):
            named[user].extend(members)
        else:
            groups += _by_experiment(members)
    for members in named.values():
        groups += _by_shape(members)
    return sorted(groups, key=lambda group: (len(group.jobs) > 1, group.jobs[-1].order()), reverse=True)


def of_current_user(jobs: Sequence[QueuedJob]) -> list[QueuedJob]:
    """Return the jobs of the current user and of unknown ones; all jobs if there are none."""
    user = current_user()
    return [job for job in jobs if job.user in (None, user)] or list(jobs)


def choose_group(groups: Sequence[Group], job_id: int | None, ask: Callable[[str], bool] | None) -> Group:
    """Choose a group: that of a job, or one that a person chooses, or the newest one that is not small.

    Parameters
    ----------
    groups
        At least one, the newest first.
    job_id
        A job of the group; None = not given.
    ask
        Asks a person; None = do not ask.

    Raises
    ------
    ConfigError
        No group has the job.
    """
    if job_id is not None:
        for group in groups:
            if any(job.job_id == job_id for job in group.jobs):
                return group
        raise ConfigError(
            f"job {job_id} is not in the queue, belongs to another user, or is excluded by --name or --since"
        )
    large = [group for group in groups if len(group.jobs) > 1]
    if ask is not None and len(large) > 1:
        for group in large:
            if ask(f"Propose a config for {group.description()}?"):
                return group
    least = max(len(group.jobs) for group in groups) / MIN_SHARE
    return next(group for group in groups if len(group.jobs) >= least)


def _tell_apart(members: Iterable[QueuedJob]) -> bool:
    """Return whether variables distinguish the jobs about as well as their names do."""
    names = {job.name for job in members}
    values = {frozenset(job.envs.items()) for job in members}
    return len(values) > 1 and 2 * len(values) > len(names)


def _by_experiment(members: list[QueuedJob]) -> list[Group]:
    """Split jobs by the variable that names the experiment, unless it varies like a factor."""
    for variable in EXPERIMENT_VARIABLES:
        count = Counter(job.envs.get(variable) for job in members)
        if not count.keys() - {None}:
            continue
        if len(count) > 1 and 2 * list(count.values()).count(1) > len(count):
            continue
        return [
            Group(
                name=name,
                jobs=[job for job in members if job.envs.get(variable) == name],
                has_variables=True,
            )
            for name in count
        ]
    return [Group(name=None, jobs=members, has_variables=True)]


def _experiment_of(job: QueuedJob) -> str | None:
    """Return the value of the variable that names a job's experiment."""
    return next((job.envs[each] for each in EXPERIMENT_VARIABLES if each in job.envs), None)


def _by_shape(members: list[QueuedJob]) -> list[Group]:
    """Group jobs whose names have the same number of parts and share some of them."""
    groups: list[tuple[set[tuple[bool, int, int, str]], list[QueuedJob]]] = []
    for job in members:
        shape = "-" in job.name, len(parts_of(job.name))
        keys = {
            (*shape, at, key)
            for at, part in enumerate(parts_of(job.name))
            for key in (part, _stem(part))
            if key
        }
        joined, shared = [job], set(keys)
        for known, jobs in [each for each in groups if each[0] & keys]:
            groups.remove((known, jobs))
            joined, shared = jobs + joined, shared | known
        groups.append((shared, joined))
    return [
        Group(
            name=_experiment_of(jobs[0]) if len(jobs) == 1 else None,
            jobs=sorted(jobs, key=lambda job: job.order()),
            has_variables=len(jobs) == 1 and bool(jobs[0].envs),
        )
        for _, jobs in groups
    ]


def parts_of(name: str) -> list[str]:
    """Split a job name at its hyphens, or at its underscores if it has none."""
    return name.split("-" if "-" in name else "_")


def _stem(part: str) -> str:
    """Return the letters before a number: ``f`` of ``f0``."""
    found = re.fullmatch(r"([A-Za-z_]+)[0-9.]+", part)
    return f"{found[1]}#" if found else ""
