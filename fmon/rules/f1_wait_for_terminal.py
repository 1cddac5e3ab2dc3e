"""Rule F1: no diagnosis, fix or relaunch until every job is terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fmon.errors import RuleError
from fmon.events import KillSwitchEvent
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fmon.events import Event


class UnfinishedCondition(msgspec.Struct, frozen=True):
    """A condition whose newest attempt has not ended.

    Attributes
    ----------
    job_id
        Job of this attempt; None = it has none yet.
    state, status
        From view ``condition``; no status = no poll has listed the job yet.
    """

    condition_id: str
    job_id: int | None
    state: str
    status: str | None


class WaitingCondition(msgspec.Struct, frozen=True):
    """A condition of a started cycle that has no job in it yet."""

    condition_id: str
    cycle: int


def f1_no_interrupted_cycle(waiting: Sequence[WaitingCondition]) -> None:
    """F1: a cycle that was started and interrupted must be resumed first.

    Parameters
    ----------
    waiting
        Conditions of a started cycle that have no job in it yet.

    Raises
    ------
    RuleError
        Exit code 21; names the conditions.
    """
    if waiting:
        names = listed([row.condition_id for row in waiting])
        raise RuleError(
            1,
            f"cycle {waiting[0].cycle} was started but has no job yet for {names}; "
            "run fmon relaunch to resume it",
        )


def f1_wait_for_terminal(unfinished: Iterable[UnfinishedCondition]) -> None:
    """F1: nothing is diagnosed, fixed or relaunched while a launched attempt is open.

    Parameters
    ----------
    unfinished
        Conditions whose newest attempt has not ended (view ``condition``). A lost job is open: it is not
        known to have ended. A missing condition has no attempt: it blocks nothing, but is named.

    Raises
    ------
    RuleError
        Exit code 21; names the open jobs.

    Notes
    -----
    Prevents a fix of the first failure while others of the batch may still follow.
    """
    rows = list(unfinished)
    still_open = [row for row in rows if row.job_id is not None]
    if not still_open:
        return
    missing = [row.condition_id for row in rows if row.job_id is None]
    jobs = listed([_open_job(row) for row in still_open])
    also = f"; never launched, which blocks nothing: {listed(missing)}" if missing else ""
    lost = [row for row in still_open if row.state == "lost"]
    advice = ["Wait until they have ended (fmon watch)"] if len(lost) < len(still_open) else []
    if lost:
        what = "those that are lost" if advice else "that they have ended"
        advice.append(f"check {what}, then close them (fmon cancel --lost --reason TEXT)")
    advice.append("or run a preliminary diagnosis (fmon diagnose --partial)")
    text = ", ".join(advice)
    raise RuleError(
        1,
        f"{counted(len(still_open), 'job is', 'jobs are')} still open: {jobs}{also}. "
        f"{text[0].upper()}{text[1:]}",
    )


def f1_is_lifted(events: Iterable[Event], cycle: int) -> bool:
    """Return whether the kill switch has fired in this cycle: then ``diagnose`` alone need not wait.

    Parameters
    ----------
    events
        Events of the experiment.
    cycle
        The current cycle.
    """
    return any(isinstance(event, KillSwitchEvent) and event.cycle == cycle for event in events)


def _open_job(row: UnfinishedCondition) -> str:
    status = row.status or "not seen yet"
    state = f"lost, was {status}" if row.state == "lost" else status
    return f"{row.condition_id} (job {row.job_id}, {state})"
