"""Rule F1: no diagnosis, fix or relaunch until every job is terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.errors import RuleError
from fmon.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, Any]
    from collections.abc import Mapping


from typing import TYPE_CHECKING, Any

from fmon.text import listed


def f1_not_cut_short(begun: Sequence[Row]) -> None:
    """F1, of a cycle that was started and interrupted: its jobs are still to come.

    Parameters
    ----------
    begun : conditions that are to have a job of a started cycle and have none: condition_id, cycle (of view
        ``relaunch``)

    Raises
    ------
    RuleError
        Exit code 21; names them.
    """
    if begun:
        told = listed([str(row["condition_id"]) for row in begun])
        raise RuleError(
            1,
            f"cycle {begun[0]['cycle']} was started and has no job yet of {told}; fmon relaunch resumes it",
        )


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
        f"{counted(len(still_open), 'job is', 'jobs are')} still open: {told}{also}. "
        "Wait for the end (fmon watch), or take a preliminary look (fmon diagnose --partial)",
    )


def f1_is_lifted(events: Iterable[Row], cycle: int) -> bool:
    """Tell whether the kill-switch has fired in this cycle: then ``diagnose``, and only it, need not wait.

    Parameters
    ----------
    events : of ``events.jsonl``; a firing is one of kind ``kill_switch`` that carries its ``cycle``
    cycle : the current one
    """
    return any(event.get("event") == "kill_switch" and event.get("cycle") == cycle for event in events)


def _open_job(row: Row) -> str:
    status = row["status"] or "not seen yet"
    told = f"lost, was {status}" if row["state"] == "lost" else status
    return f"{row['condition_id']} (job {row['job_id']}, {told})"
