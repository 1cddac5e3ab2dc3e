"""Find the jobs to cancel in the store, with the reason for each.

View ``kill_switch`` has the jobs that the kill switch proposes; of a person's selection, the open jobs count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fmon.errors import ConfigError
from fmon.model import value_text
from fmon.monitor.kill_switch import firing_reason
from fmon.rules.kill_switch import is_past
from fmon.warehouse import open_views, typed_rows
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import duckdb

    from fmon.manifest.stored import StoredExperiment
    from fmon.model import Entry, Manifest

JOBS = """
select
    known_job.condition_id,
    known_job.job_id,
    known_job.job_key,
    known_job.cycle,
    known_job.status,
    known_job.is_open,
    known_job.has_ended,
    known_job.has_started,
    known_job.longest_run_s
from known_job
order by known_job.job_key
"""

# Only the current cycle: a relaunch has already answered earlier firings.
FIRINGS = """
select
    kill_switch.firing_id,
    kill_switch.trigger,
    kill_switch.category,
    kill_switch.combination,
    kill_switch.no_action_reason,
    kill_switch.cycle,
    kill_switch.failed_count,
    kill_switch.failure_point_s,
    kill_switch.cancel_job_keys,
    firing.candidate_job_keys
from kill_switch
inner join experiment on kill_switch.experiment_id = experiment.experiment_id
inner join firing
    on kill_switch.experiment_id = firing.experiment_id and kill_switch.firing_id = firing.firing_id
where kill_switch.cycle = experiment.current_cycle
order by kill_switch.firing_id
"""


class KnownJob(msgspec.Struct, frozen=True):
    """A job of the experiment as of the last poll: the columns of ``JOBS``.

    Attributes
    ----------
    status
        As last seen; None = no poll has shown it yet.
    longest_run_s
        Its longest single run [s]; None = unknown.
    """

    condition_id: str
    job_id: int
    job_key: int
    cycle: int | None
    status: str | None
    is_open: bool
    has_ended: bool
    has_started: bool
    longest_run_s: float | None


class FiringRow(msgspec.Struct, frozen=True):
    """A firing of the kill switch in the current cycle: the columns of ``FIRINGS``.

    Attributes
    ----------
    cancel_job_keys
        Jobs that it proposes now.
    candidate_job_keys
        Jobs that it proposed when it fired, as text.
    """

    firing_id: int
    trigger: str
    category: str | None
    combination: dict[str, str]
    no_action_reason: str | None
    cycle: int
    failed_count: int
    failure_point_s: float
    cancel_job_keys: list[int]
    candidate_job_keys: list[str]


@dataclass(frozen=True, kw_only=True)
class CancelRequest:
    """Which jobs to cancel, and who requests it.

    Attributes
    ----------
    selections
        The selection; empty = the jobs that the kill switch proposes.
    by
        Name of the person, for the audit.
    """

    selections: tuple[str, ...] = ()
    by: str

    @property
    def reason(self) -> str:
        """The reason that the audit records; view ``relaunch_candidate`` uses it."""
        return "person" if self.selections else "kill_switch"


class Target(NamedTuple):
    """A job to cancel; ``status`` as last seen, None = no poll has shown it yet."""

    condition_id: str
    job_id: int
    status: str | None
    reason: str
    job_key: int


def target_of(job: KnownJob, reason: str) -> Target:
    """Return a job as a target."""
    return Target(job.condition_id, job.job_id, job.status, reason, job.job_key)


class BlamedCondition(NamedTuple):
    """Why jobs of a condition that appear later are cancelled too.

    ``failure_point_s``: for a firing, the run time beyond which its job is spared.
    """

    reason: str
    cycle: int | None = None
    failure_point_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CancelTargets:
    """The jobs that a request means.

    Attributes
    ----------
    targets
        Open jobs to cancel.
    jobs
        Every job of the experiment, by its key.
    blamed
        Conditions whose jobs are to be cancelled.
    firing_ids
        The firings that propose it.
    spared
        Jobs that a firing proposed, and that have passed its failure point since.
    no_action_reason
        Why there is no target, if there is none.
    """

    targets: list[Target] = field(default_factory=list)
    jobs: dict[int, KnownJob] = field(default_factory=dict)
    blamed: dict[str, list[BlamedCondition]] = field(default_factory=dict)
    firing_ids: list[int] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    no_action_reason: str = "none of these conditions has an open job"

    def new_targets(self, known: Iterable[int]) -> list[Target]:
        """Find the open jobs of the blamed conditions that were not known before."""
        before = set(known)
        found = []
        for key, job in self.jobs.items():
            blamed = self.blamed.get(job.condition_id, [])
            reason = next((each.reason for each in blamed if _is_blamed(job, each)), None)
            if key not in before and job.is_open and reason:
                found.append(target_of(job, f"{reason}; appeared during the cancellation"))
        return found


def find_targets(stored: StoredExperiment, request: CancelRequest, *, now: datetime) -> CancelTargets:
    """Find the jobs that a request means, as of the last poll.

    Parameters
    ----------
    stored
        The experiment.
    request
        The request.
    now
        The time up to which run times count [UTC].

    Raises
    ------
    ConfigError
        A selection matches no condition.
    """
    chosen = select_current(stored, request.selections, now=now)
    con = open_views(stored, now=now, queries=(JOBS, FIRINGS))
    try:
        jobs = {job.job_key: job for job in typed_rows(con, JOBS, KnownJob)}
        if not request.selections:
            return _targets_of_firings(con, stored.manifest, jobs)
    finally:
        con.close()
    targets = [
        target_of(job, chosen[job.condition_id])
        for job in jobs.values()
        if job.is_open and job.condition_id in chosen
    ]
    return CancelTargets(
        targets=targets, jobs=jobs, blamed={name: [BlamedCondition(why)] for name, why in chosen.items()}
    )


def refuse_unclear(selections: Iterable[str], *, is_kill_switch: bool) -> None:
    """Raise an error if a call names both the kill switch and conditions, or neither.

    Raises
    ------
    ConfigError
        The message says what to use instead.
    """
    words = list(selections)
    if is_kill_switch and words:
        message = f"--kill-switch selects the jobs itself: leave out {words[0]} or --kill-switch"
        raise ConfigError(message)
    if not is_kill_switch and not words:
        message = (
            "nothing is selected: use --kill-switch or a selection such as state=running (see fmon status)"
        )
        raise ConfigError(message)


def _targets_of_firings(
    con: duckdb.DuckDBPyConnection, manifest: Manifest, jobs: dict[int, KnownJob]
) -> CancelTargets:
    """Read the targets from the view; jobs that appear after the firing are found by their condition."""
    firings = typed_rows(con, FIRINGS, FiringRow)
    targets: dict[int, Target] = {}
    blamed: dict[str, list[BlamedCondition]] = {}
    spared: set[int] = set()
    for firing in firings:
        why = firing_reason(firing)
        for key in firing.cancel_job_keys:
            targets.setdefault(key, target_of(jobs[key], why))
        if firing.no_action_reason is None:
            for entry in manifest.jobs:
                if _is_at(entry, firing.combination):
                    condition = BlamedCondition(why, firing.cycle, firing.failure_point_s)
                    blamed.setdefault(entry.condition, []).append(condition)
        spared |= {int(key) for key in firing.candidate_job_keys}
    return CancelTargets(
        targets=list(targets.values()),
        jobs=jobs,
        blamed=blamed,
        firing_ids=[firing.firing_id for firing in firings if firing.cancel_job_keys],
        spared=sorted(key for key in spared - targets.keys() if jobs[key].is_open),
        no_action_reason=_no_action_reason(firings),
    )


def _no_action_reason(firings: list[FiringRow]) -> str:
    if not firings:
        return "the kill switch has not fired in this cycle"
    reasons = dict.fromkeys(firing.no_action_reason for firing in firings if firing.no_action_reason)
    return (
        "; ".join(reasons) or "the jobs that the kill switch proposed have ended or passed the failure point"
    )


def _is_at(entry: Entry, combination: Mapping[str, str]) -> bool:
    texts = {factor: value_text(level) for factor, level in entry.factors.items()}
    return combination.items() <= texts.items()


def _is_blamed(job: KnownJob, condition: BlamedCondition) -> bool:
    if condition.failure_point_s is None:
        return True
    return job.cycle == condition.cycle and not is_past(job, condition.failure_point_s)
