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
        Of this attempt; None = it has none yet.
    state, status
        As view ``condition`` has them; no status = no poll has shown the job yet.
    """

    condition_id: str
    job_id: int | None
    state: str
    status: str | None


class WaitingCondition(msgspec.Struct, frozen=True):
    """A condition that has no job yet of a cycle that was started."""

    condition_id: str
    cycle: int


def f1_not_cut_short(begun: Sequence[WaitingCondition]) -> None:
    """F1, of a cycle that was started and interrupted: its jobs are still to come.

    Parameters
    ----------
    begun
        Conditions that have no job yet of a started cycle.

    Raises
    ------
    RuleError
        Exit code 21; names them.
    """
    if begun:
        told = listed([str(row.condition_id) for row in begun])
        raise RuleError(
            1,
            f"cycle {begun[0].cycle} was started and has no job yet of {told}; fmon relaunch resumes it",
        )


def f1_wait_for_terminal(unfinished: Iterable[UnfinishedCondition]) -> None:
    """F1: nothing is diagnosed, fixed or relaunched while a launched attempt is open.

    Parameters
    ----------
    unfinished
        Conditions whose newest attempt has not ended, with condition_id, job_id, state, status (of view
        ``condition``). A lost job is open: nobody knows that it ended. A missing condition has no attempt:
        it blocks nothing and is named.

    Raises
    ------
    RuleError
        Exit code 21; names the open jobs.

    Notes
    -----
    Prevents the first failure from being fixed while the others of the batch are still to come.
    """
    rows = list(unfinished)
    still_open = [row for row in rows if row.job_id is not None]
    if not still_open:
        return
    missing = [row.condition_id for row in rows if row.job_id is None]
    told = listed([_open_job(row) for row in still_open])
    also = f"; never launched, which blocks nothing: {listed(missing)}" if missing else ""
    raise RuleError(
        1,
        f"{counted(len(still_open), 'job is', 'jobs are')} still open: {told}{also}. "
        "Wait for the end (fmon watch), or take a preliminary look (fmon diagnose --partial)",
    )


def f1_is_lifted(events: Iterable[Event], cycle: int) -> bool:
    """Tell whether the kill switch has fired in this cycle: then ``diagnose``, and only it, need not wait.

    Parameters
    ----------
    events
        Of ``events.jsonl``.
    cycle
        The current one.
    """
    return any(isinstance(event, KillSwitchEvent) and event.cycle == cycle for event in events)


def _open_job(row: UnfinishedCondition) -> str:
    status = row.status or "not seen yet"
    told = f"lost, was {status}" if row.state == "lost" else status
    return f"{row.condition_id} (job {row.job_id}, {told})"
