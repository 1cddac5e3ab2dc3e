"""Close lost attempts that a person has checked, with the person's name and evidence.

Reads view ``lost_job``; writes the audit. From then on the condition is terminal and can be relaunched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from fmon.errors import ConfigError
from fmon.events import LostJobClosedEvent
from fmon.monitor.refresh import refresh
from fmon.text import counted, listed
from fmon.warehouse import column, typed_rows
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.study import Study

# A job of several tasks is lost if one task is: that task keeps the job from being terminal.
LOST = """
select
    lost_job.condition_id,
    lost_job.job_id,
    lost_job.job_key,
    lost_job.status,
    lost_job.last_seen_at,
    lost_job.lost_at
from lost_job
order by lost_job.manifest_position
"""

STATES = "select condition_id, state, status, is_terminal from condition"


# The number of jobs in the newest answer of the queue, of all users and experiments.
NEWEST_ANSWER = """
select arg_max(heartbeat.job_count, heartbeat.poll_id) filter (where heartbeat.is_ok) as job_count
from heartbeat
"""


FROM_FILE = "select experiment.is_from_file from experiment"


class LostJob(msgspec.Struct, frozen=True):
    """A job that the queue has lost, as it was last seen: the columns of ``LOST``."""

    condition_id: str
    job_id: int
    job_key: int
    status: str | None
    last_seen_at: datetime | None
    lost_at: datetime


class ConditionState(msgspec.Struct, frozen=True):
    """The state of a condition: the columns of ``STATES``."""

    condition_id: str
    state: str
    status: str | None
    is_terminal: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The selected lost attempts.

    Attributes
    ----------
    rows
        The newest job of each.
    is_closed
        They have been closed; otherwise nothing was changed.
    """

    experiment_id: str
    rows: list[LostJob] = field(default_factory=list)
    is_closed: bool = False

    def sentences(self) -> list[str]:
        """Return what was done, for stderr."""
        if not self.rows:
            return [f"{self.experiment_id}: nothing to close: no lost job is selected"]
        count = counted(len(self.rows), "lost job")
        done = "closed and can be relaunched" if self.is_closed else "would be closed; nothing was changed"
        return [f"{self.experiment_id}: {count} {done}"]


def is_from_file(study: Study) -> bool:
    """Return whether the newest answer of the queue came from a file: then no server is asked."""
    con = study.connect((FROM_FILE,))
    try:
        return column(con, FROM_FILE) == [True]
    finally:
        con.close()


def lost(study: Study, selections: Sequence[str], *, now: datetime) -> Lost:
    """Return the selected lost attempts; changes nothing.

    Parameters
    ----------
    study
        The experiment.
    selections
        The selection: the lost ones among its conditions; empty = all that are lost.
    now
        The clock [UTC].

    Raises
    ------
    ConfigError
        A condition does not exist, or one that is named by its id is not lost: a job that the queue still
        lists can't be closed. Or the newest answer of the queue lists no job at all, which does not mean that
        they have ended: then only conditions named by their ids can be closed.
    """
    every = dict.fromkeys((entry.condition for entry in study.manifest.jobs), "state=lost")
    chosen = select_current(study, selections, now=now) if selections else every
    con = study.connect((LOST, STATES, NEWEST_ANSWER), now=now)
    try:
        found = [row for row in typed_rows(con, LOST, LostJob) if row.condition_id in chosen]
        states = {row.condition_id: row for row in typed_rows(con, STATES, ConditionState)}
        is_queue_gone = column(con, NEWEST_ANSWER) == [0]
    finally:
        con.close()
    by_id = {name for name, word in chosen.items() if name == word}
    if is_queue_gone and any(row.condition_id not in by_id for row in found):
        message = (
            "the queue lists no jobs at all: SkyPilot's jobs controller may just be stopped, and its jobs "
            "may still run. Start it (sky jobs queue --refresh) and run fmon poll, or name by id the "
            "conditions that you have checked"
        )
        raise ConfigError(message)
    others = [states[name] for name in by_id - {row.condition_id for row in found}]
    if others:
        names = sorted(f"{row.condition_id} ({_state_text(row)})" for row in others)
        message = (
            f"only lost conditions can be closed, and these are not: {listed(names)}. "
            "To cancel open jobs, run fmon cancel without --lost"
        )
        raise ConfigError(message)
    return Lost(experiment_id=study.experiment_id, rows=found)


def close_lost(study: Study, selections: Sequence[str], *, by: str, reason: str, now: datetime) -> Lost:
    """Close the selected lost attempts, in the name of the person who checked.

    Parameters
    ----------
    study, selections, now
        As for ``lost``.
    by
        The person who checked.
    reason
        The evidence that the job has ended.

    Raises
    ------
    ConfigError
        As in ``lost``; nothing is closed.
    """
    from fmon.redact import redact  # pasted text may contain a secret

    found = lost(study, selections, now=now)
    for row in found.rows:
        # A closure counts only for the absence before it, also if this clock is behind the queue's.
        at = max(now, row.lost_at)
        event = LostJobClosedEvent(
            at=at, condition_id=row.condition_id, job_id=row.job_key, by=by, reason=redact(reason)
        )
        study.append(event)
    if found.rows:
        refresh(study.store, now=now)
    return Lost(experiment_id=found.experiment_id, rows=found.rows, is_closed=True)


def _state_text(row: ConditionState) -> str:
    if row.state == "lost":
        return "lost, already closed" if row.is_terminal else "lost"
    return str(row.status or row.state)
