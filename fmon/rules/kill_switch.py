"""The kill switch as a pure function: attempts of a cycle in, firings out.

Rules read no file and no clock; a phase calls them explicitly before it acts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

SAME_FAILURES = 3
WINDOW = timedelta(minutes=5)
"""The kill switch fires if this many identical failures end within this time."""


class Started(Protocol):
    """The attributes of a job that ``is_past`` needs."""

    @property
    def has_started(self) -> bool:
        """Whether one of its runs has started."""

    @property
    def longest_run_s(self) -> float | None:
        """Its longest single run [s]; None = unknown."""


class CycleJob(msgspec.Struct, frozen=True):
    """An attempt of the cycle.

    Attributes
    ----------
    factors
        Its levels, by factor.
    longest_run_s
        Its longest single run [s]; None = unknown.
    duration_s
        Run time of an ended job [s].
    end_at
        When it failed [UTC].
    signature, category, source
        Its error, and where the evidence was found; None = not examined.
    """

    condition_id: str
    job_id: int
    job_key: int
    cycle: int
    factors: dict[str, str]
    is_open: bool
    is_failed: bool
    has_succeeded: bool
    has_started: bool
    longest_run_s: float | None
    duration_s: float | None
    end_at: datetime | None
    signature: str | None
    category: str | None
    source: str | None


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """What failed jobs have in common, and which open jobs should be cancelled.

    Attributes
    ----------
    signature, category
        The identical error; None = too many jobs failed, with any error.
    member_job_ids
        The failed jobs.
    first_failed_at
        When the first of them ended [UTC]; None = unknown.
    failure_point_s
        Longest run time of a failed job [s].
    combination
        The levels that they share, by factor.
    candidate_job_ids
        Open jobs with these levels that have not passed the failure point.
    no_action_reason
        Why there are none; None = there are some.
    """

    signature: str | None
    category: str | None
    member_job_ids: list[int]
    first_failed_at: datetime | None
    failure_point_s: float
    combination: dict[str, str]
    candidate_job_ids: list[int]
    no_action_reason: str | None


def kill_switch(
    jobs: Sequence[CycleJob], conditions: Sequence[Mapping[str, str]], fired: Collection[int]
) -> list[Firing]:
    """Decide which identical failures fire, and which open jobs are then proposed for cancelling.

    Parameters
    ----------
    jobs
        Attempts of one cycle.
    conditions
        Every condition's levels, by factor: a factor with one level explains nothing.
    fired
        Failed jobs of earlier firings in this cycle; no job is in two.

    Returns
    -------
    list of Firing
        The oldest first.
    """
    by_signature: dict[str, list[Failed]] = {}
    for job in jobs:
        if (
            job.is_failed
            and job.job_key not in fired
            and job.end_at
            and job.signature
            and names_an_error(job)
        ):
            failed = Failed(job, job.end_at, job.signature)
            by_signature.setdefault(job.signature, []).append(failed)
    varying = _varying_factors(conditions)
    found = [
        (members[0].end_at, signature, _firing(members, jobs, varying))
        for signature, failures in by_signature.items()
        for members in _bursts(sorted(failures, key=lambda failed: (failed.end_at, failed.job.job_key)))
    ]
    return [firing for *_, firing in sorted(found, key=lambda each: each[:2])]


def names_an_error(failure: CycleJob) -> bool:
    """Return whether the signature identifies an error.

    Without a log it comes from the queue alone, where "FAILED" is the same for every error. Only a reason
    that SkyPilot gave and a rule recognized is as good as a line of a log.
    """
    if not failure.signature:
        return False
    if failure.source in ("log", "controller_log"):
        return True
    return failure.source == "failure_reason" and failure.category != "unknown"


def too_many_failed(
    jobs: Sequence[CycleJob], *, condition_count: int, max_failed_ratio: float | None
) -> Firing | None:
    """Decide whether so many jobs of a cycle have failed that the others should not start.

    Parameters
    ----------
    jobs
        As for ``kill_switch``; called only if this trigger has not fired in this cycle.
    condition_count
        Jobs that the cycle has or will have, not only those launched so far: the first failure would be
        100 % of these.
    max_failed_ratio
        Limit of the config; None = never fire.
    """
    failed = [job for job in jobs if job.is_failed]
    if max_failed_ratio is None or not failed or len(failed) <= max_failed_ratio * condition_count:
        return None
    waiting = sorted(job.job_key for job in jobs if job.is_open and not job.has_started)
    ends = [job.end_at for job in failed if job.end_at]
    return Firing(
        signature=None,
        category=None,
        member_job_ids=sorted(job.job_key for job in failed),
        first_failed_at=min(ends, default=None),
        failure_point_s=0.0,
        combination={},
        candidate_job_ids=waiting,
        no_action_reason=None if waiting else "no job is waiting to start",
    )


def is_past(job: Started, failure_point_s: float) -> bool:
    """Return whether one of a job's runs passed the failure point; if that is 0, any start has."""
    if not job.has_started:
        return False
    return failure_point_s == 0 or job.longest_run_s is None or job.longest_run_s > failure_point_s


class Failed(NamedTuple):
    """A failed job that has all that counting it needs."""

    job: CycleJob
    end_at: datetime
    signature: str


def _bursts(failures: list[Failed]) -> Iterator[list[Failed]]:
    """Split identical failures, in the order of their ends, into bursts; stragglers are in none."""
    first = 0
    while first < len(failures):
        until = failures[first].end_at + WINDOW
        burst = [failed for failed in failures[first:] if failed.end_at <= until]
        if len(burst) >= SAME_FAILURES:
            yield burst
            first += len(burst)
        else:
            first += 1


def _firing(members: list[Failed], jobs: Sequence[CycleJob], varying: set[str]) -> Firing:
    """Return what a burst of identical failures has in common, and the jobs to cancel."""
    failed = [member.job for member in members]
    point_s = max(map(_failed_after_s, failed))
    shared = {
        factor: level
        for factor, level in failed[0].factors.items()
        if factor in varying and all(job.factors.get(factor) == level for job in failed)
    }
    signature = members[0].signature
    alike = [job for job in jobs if shared.items() <= job.factors.items()]
    against = [
        job
        for job in alike
        if job.has_succeeded or (is_past(job, point_s) and not _failed_identically(job, signature))
    ]
    still_open = [job.job_key for job in alike if job.is_open and not is_past(job, point_s)]
    return Firing(
        signature=signature,
        category=failed[0].category,
        member_job_ids=sorted(job.job_key for job in failed),
        first_failed_at=members[0].end_at,
        failure_point_s=point_s,
        combination=shared,
        candidate_job_ids=[] if against else sorted(still_open),
        no_action_reason=_no_action_reason(against, shared, has_open=bool(still_open)),
    )


def _failed_identically(job: CycleJob, signature: str) -> bool:
    """Return whether a job failed with the same error: later, but not evidence against the combination."""
    return job.is_failed and job.signature == signature


def _failed_after_s(job: CycleJob) -> float:
    return float(job.duration_s or 0) if job.has_started else 0.0


def _no_action_reason(against: list[CycleJob], shared: Mapping[str, str], *, has_open: bool) -> str | None:
    where = " and ".join(f"{factor}={level}" for factor, level in shared.items()) or "any combination"
    if against:
        jobs = listed([f"{job.condition_id} (job {job.job_id})" for job in against])
        return f"{where} is not to blame: {jobs} succeeded or ran past the failure point"
    return None if has_open else f"no job of {where} is open before the failure point"


def _varying_factors(conditions: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the factors with two or more levels."""
    levels: dict[str, set[str]] = {}
    for factors in conditions:
        for factor, level in factors.items():
            levels.setdefault(factor, set()).add(level)
    return {factor for factor, found in levels.items() if len(found) > 1}
