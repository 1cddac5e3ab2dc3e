"""The rules F1 to F5 as pure decisions: rows in, a refusal or nothing out.

A phase calls its rules in the open, before it acts. They read no file and no clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]


SAME_FAILURES = 3
WINDOW = timedelta(minutes=5)
"""So many identical failures that end within so long fire the kill-switch."""


def kill_switch(jobs: Sequence[Row], conditions: Sequence[Row], fired: Iterable[Row]) -> list[dict[str, Any]]:
    """Decide which identical failures fire, and which open jobs are then proposed for cancelling.

    Parameters
    ----------
    jobs : attempts of one cycle: condition_id, job_id, factors, is_open, is_failed, has_succeeded,
        has_started, longest_run_s (longest single run [s]; None = unknown), duration_s (of an ended job [s]),
        end_at, signature, category, source (where the evidence stood)
    conditions : every condition's factors: a factor with one level tells nothing
    fired : earlier firings of this cycle with member_job_ids; no job is in two

    Returns
    -------
    list of dict
        signature, category, member_job_ids, first_failed_at, failure_point_s, combination,
        candidate_job_ids, no_action_reason; one per firing, the oldest first.
    """
    known = {int(job_id) for firing in fired for job_id in firing["member_job_ids"]}
    by_signature: dict[str, list[Row]] = {}
    for job in jobs:
        if job["is_failed"] and job["job_id"] not in known and job["end_at"] and names_an_error(job):
            by_signature.setdefault(job["signature"], []).append(job)
    telling = _telling_factors(conditions)
    found = [
        _firing(members, jobs, telling)
        for failures in by_signature.values()
        for members in _bursts(sorted(failures, key=lambda job: (job["end_at"], job["job_id"])))
    ]
    return sorted(found, key=lambda firing: (firing["first_failed_at"], firing["signature"]))


def names_an_error(failure: Row) -> bool:
    """Tell whether a signature may count as the identical error.

    Without a log it comes from the queue alone: "FAILED" is the same for every error. Only a reason that
    SkyPilot gave and a rule knew is as good as a line of a log.
    """
    if not failure["signature"]:
        return False
    if failure["source"] in ("log", "controller_log"):
        return True
    return bool(failure["source"] == "failure_reason" and failure["category"] != "unknown")


def too_many_failed(
    jobs: Sequence[Row], *, condition_count: int, max_failed_ratio: float | None
) -> dict[str, Any] | None:
    """Decide whether so many jobs of a cycle have failed that those not started should not start.

    Parameters
    ----------
    jobs : as for ``kill_switch``; the caller asks only where it has not fired in this cycle
    condition_count : jobs that the cycle has or will have; not only those launched so far, of which
        the first to fail would be all
    max_failed_ratio : the config's; None = never

    Returns
    -------
    dict or None
        As one firing of ``kill_switch``, without signature and category.
    """
    failed = [job for job in jobs if job["is_failed"]]
    if max_failed_ratio is None or not failed or len(failed) <= max_failed_ratio * condition_count:
        return None
    waiting = sorted(job["job_id"] for job in jobs if job["is_open"] and not job["has_started"])
    ends = [job["end_at"] for job in failed if job["end_at"]]
    return {
        "signature": None,
        "category": None,
        "member_job_ids": sorted(job["job_id"] for job in failed),
        "first_failed_at": min(ends, default=None),
        "failure_point_s": 0.0,
        "combination": {},
        "candidate_job_ids": waiting,
        "no_action_reason": None if waiting else "no job waits for its start",
    }


def is_past(job: Row, failure_point_s: float) -> bool:
    """Tell whether one of a job's runs got beyond the failure point; a start is beyond 0."""
    if not job["has_started"]:
        return False
    return bool(
        failure_point_s == 0 or job["longest_run_s"] is None or job["longest_run_s"] > failure_point_s
    )


def _bursts(failures: list[Row]) -> Iterator[list[Row]]:
    """Split identical failures, in the order of their ends, into bursts; stragglers are in none."""
    first = 0
    while first < len(failures):
        until = failures[first]["end_at"] + WINDOW
        burst = [job for job in failures[first:] if job["end_at"] <= until]
        if len(burst) >= SAME_FAILURES:
            yield burst
            first += len(burst)
        else:
            first += 1


def _firing(members: list[Row], jobs: Sequence[Row], telling: set[str]) -> dict[str, Any]:
    """Say what a burst of identical failures has in common, and whom it proposes."""
    point_s = max(_failed_after_s(job) for job in members)
    shared = {
        factor: level
        for factor, level in members[0]["factors"].items()
        if factor in telling and all(job["factors"].get(factor) == level for job in members)
    }
    signature = members[0]["signature"]
    alike = [job for job in jobs if shared.items() <= job["factors"].items()]
    against = [
        job
        for job in alike
        if job["has_succeeded"] or (is_past(job, point_s) and not _failed_so(job, signature))
    ]
    still_open = [job["job_id"] for job in alike if job["is_open"] and not is_past(job, point_s)]
    return {
        "signature": signature,
        "category": members[0]["category"],
        "member_job_ids": sorted(job["job_id"] for job in members),
        "first_failed_at": members[0]["end_at"],
        "failure_point_s": point_s,
        "combination": shared,
        "candidate_job_ids": [] if against else sorted(still_open),
        "no_action_reason": _why_none(against, shared, has_open=bool(still_open)),
    }


def _failed_so(job: Row, signature: str) -> bool:
    """Tell whether a job failed with the same error: late, but no evidence against it."""
    return bool(job["is_failed"] and job["signature"] == signature)


def _failed_after_s(job: Row) -> float:
    return float(job["duration_s"] or 0) if job["has_started"] else 0.0


def _why_none(against: list[Row], shared: Mapping[str, str], *, has_open: bool) -> str | None:
    where = " and ".join(f"{factor}={level}" for factor, level in shared.items()) or "any combination"
    if against:
        named = listed([f"{job['condition_id']} (job {job['job_id']})" for job in against])
        return f"{where} is not to blame: {named} succeeded or ran past the failure point"
    return None if has_open else f"no job of {where} is open before the failure point"


def _telling_factors(conditions: Iterable[Row]) -> set[str]:
    """Find the factors with two or more levels."""
    levels: dict[str, set[str]] = {}
    for condition in conditions:
        for factor, level in condition["factors"].items():
            levels.setdefault(factor, set()).add(level)
    return {factor for factor, found in levels.items() if len(found) > 1}
