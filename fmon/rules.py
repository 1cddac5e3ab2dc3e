"""The rules F1 to F5 as pure decisions: rows in, a refusal or nothing out (floor 2).

A phase calls its rules in the open, before it acts. They read no file and no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    told = _listed([_open_job(row) for row in still_open])
    also = f"; never launched, which blocks nothing: {_listed(missing)}" if missing else ""
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
            f"{_counted(len(without), 'failed attempt')} without a root cause: {_listed(without)}. "
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


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED:,} more"
