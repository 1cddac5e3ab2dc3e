"""The rules F1 to F5 as pure decisions: rows in, a refusal or nothing out (floor 2).

A phase calls its rules in the open, before it acts. They read no file and no clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fmon.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

MAX_NAMED = 5
"""Ids that a refusal names; how many more there are is said."""

UNEXAMINED = "unknown/unexamined"
"""The root cause that view ``failure`` gives to an attempt that nobody has looked at yet."""


def f1_wait_for_terminal(unfinished: Iterable[Row]) -> None:
    """F1: nothing is diagnosed, fixed or relaunched while a launched attempt is open.

    Parameters
    ----------
    unfinished : conditions whose newest attempt has not ended, with condition_id, job_id, state, status
        (of view ``condition``). A lost job is open: nobody knows that it ended. A missing condition has no
        attempt: it blocks nothing and is named.

    Raises
    ------
    RuleError
        Exit code 21; names the open jobs.

    Notes
    -----
    Prevents the first failure from being fixed while the others of the batch are still to come.
    """
    rows = list(unfinished)
    still_open = [row for row in rows if row["job_id"] is not None]
    if not still_open:
        return
    missing = [row["condition_id"] for row in rows if row["job_id"] is None]
    told = listed([_open_job(row) for row in still_open])
    also = f"; never launched, which blocks nothing: {listed(missing)}" if missing else ""
    raise RuleError(
        1,
        f"{_counted(len(still_open), 'job')} still open: {told}{also}. Wait for the end (fmon watch), or "
        "take a preliminary look (fmon diagnose --partial)",
    )


def f1_is_lifted(events: Iterable[Row], cycle: int) -> bool:
    """Tell whether the kill-switch has fired in this cycle: then ``diagnose``, and only it, need not wait.

    Parameters
    ----------
    events : of ``events.jsonl``; a firing is one of kind ``kill_switch`` that carries its ``cycle``
    cycle : the current one
    """
    return any(event.get("event") == "kill_switch" and event.get("cycle") == cycle for event in events)


def f2_aggregate_before_fix(failures: Iterable[Row]) -> None:
    """F2: all failures are gathered, each with a root cause, before any is fixed; unknown is one too.

    Parameters
    ----------
    failures : failed attempts with condition_id, job_id, root_cause_id (of view ``failure``)

    Raises
    ------
    RuleError
        Exit code 22; names the attempts that nobody has examined.

    Notes
    -----
    Prevents a rebuild and relaunch for one cause while another still waits to be found.
    """
    without = [f"{row['condition_id']} (job {row['job_id']})" for row in failures if is_unexamined(row)]
    if without:
        raise RuleError(
            2,
            f"{_counted(len(without), 'failed attempt')} without a root cause: {listed(without)}. "
            "Run fmon diagnose again; fmon logs JOB shows what there is",
        )


def is_unexamined(failure: Row) -> bool:
    """Tell whether a failed attempt has no finding yet."""
    return bool(failure["root_cause_id"] == UNEXAMINED)


def _open_job(row: Row) -> str:
    status = row["status"] or "not seen yet"
    told = f"lost, was {status}" if row["state"] == "lost" else status
    return f"{row['condition_id']} (job {row['job_id']}, {told})"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun} is" if count == 1 else f"{count:,} {noun}s are"


def listed(names: Sequence[str]) -> str:
    """Name the first few, and say how many more there are."""
    shown = ", ".join(names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED:,} more"


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
