"""A person closes attempts that the queue has lost: who looked, and how they know.

Reads view ``job``; writes the audit. From then on the condition is terminal, and may be run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from fmon.errors import ConfigError
from fmon.events import LostJobClosedEvent
from fmon.text import listed
from fmon.warehouse import typed_rows
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.study import Study

# A job of several tasks is lost where one task is: it is what keeps the job from being terminal.
LOST = """
select
    lost_job.condition_id,
    lost_job.job_id,
    lost_job.status,
    lost_job.last_seen_at
from lost_job
order by lost_job.manifest_position
"""

STATES = "select condition_id, state, status, is_terminal from condition"


class LostJob(msgspec.Struct, frozen=True):
    """A job that the queue has lost, as it was last seen: the columns of ``LOST``."""

    condition_id: str
    job_id: int
    status: str | None
    last_seen_at: datetime | None


class ConditionState(msgspec.Struct, frozen=True):
    """Where a condition is: the columns of ``STATES``."""

    condition_id: str
    state: str
    status: str | None
    is_terminal: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Lost attempts that were named.

    Attributes
    ----------
    rows
        The newest job of each.
    is_closed
        They are closed now; else nothing was changed.
    """

    experiment_id: str
    rows: list[LostJob] = field(default_factory=list)
    is_closed: bool = False

    def sentences(self) -> list[str]:
        """Say what was done, for stderr."""
        count = "1 lost job" if len(self.rows) == 1 else f"{len(self.rows):,} lost jobs"
        done = "closed, to be relaunched" if self.is_closed else "would be closed; nothing was changed"
        return [f"{self.experiment_id}: {count} {done}"]


def lost(study: Study, selections: Sequence[str], *, now: datetime) -> Lost:
    """Find the lost attempts that are named, each of which must be lost; changes nothing.

    Parameters
    ----------
    study
        The experiment.
    selections
        Words of a selection.
    now
        The clock [UTC].

    Raises
    ------
    ConfigError
        A condition does not exist or is not lost: nobody closes a job that the queue still shows.
    """
    chosen = select_current(study, selections, now=now)
    con = study.connect((LOST, STATES), now=now)
    try:
        found = [row for row in typed_rows(con, LOST, LostJob) if row.condition_id in chosen]
        states = {row.condition_id: row for row in typed_rows(con, STATES, ConditionState)}
    finally:
        con.close()
    others = [states[name] for name in chosen.keys() - {row.condition_id for row in found}]
    if others:
        told = sorted(f"{row.condition_id} ({_told(row)})" for row in others)
        message = (
            f"only lost conditions can be closed, and these are not: {listed(told)}. "
            "fmon cancel without --lost ends jobs that are open"
        )
        raise ConfigError(message)
    return Lost(experiment_id=study.experiment_id, rows=found)


def close_lost(study: Study, selections: Sequence[str], *, by: str, reason: str, now: datetime) -> Lost:
    """Close the lost attempts that are named, in the name of who has looked.

    Parameters
    ----------
    study, selections, now
        As for ``lost``.
    by
        Who looked.
    reason
        How they know that the job has ended.

    Raises
    ------
    ConfigError
        As ``lost``; nothing is closed then.
    """
    from fmon.redact import redact  # what a person pastes may hold a secret

    found = lost(study, selections, now=now)
    for row in found.rows:
        event = LostJobClosedEvent(
            at=now, condition_id=row.condition_id, job_id=row.job_id, by=by, reason=redact(reason)
        )
        study.append(event)
    return Lost(experiment_id=found.experiment_id, rows=found.rows, is_closed=True)


def _told(row: ConditionState) -> str:
    if row.state == "lost":
        return "lost, closed already" if row.is_terminal else "lost"
    return str(row.status or row.state)
