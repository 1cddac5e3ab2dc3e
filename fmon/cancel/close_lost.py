"""A person closes attempts that the queue has lost: who looked, and how they know.

Reads view ``job``; writes the audit. From then on the condition is terminal, and may be run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.manifest.select import select
from fmon.store.events import append_event
from fmon.text import listed
from fmon.warehouse import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from fmon.study import Study

# A job of several tasks is lost where one task is: it is what keeps the job from being terminal.
LOST = """
select
    condition.condition_id,
    condition.job_id,
    any_value(job.status) as status,
    max(job.last_seen_at) as last_seen_at
from condition
inner join job on condition.experiment_id = job.experiment_id and condition.job_id = job.job_id
where job.state = 'lost' and not condition.is_terminal
group by condition.condition_id, condition.job_id, condition.manifest_position
order by condition.manifest_position
"""

STATES = "select condition_id, state, status, is_terminal from condition"


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Lost attempts that were named.

    Attributes
    ----------
    rows : condition_id, job_id, status and last_seen_at of each
    is_closed : they are closed now; else nothing was changed
    """

    experiment_id: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    is_closed: bool = False

    def sentences(self) -> list[str]:
        """Say what was done, for stderr."""
        count = "1 lost job" if len(self.rows) == 1 else f"{len(self.rows):,} lost jobs"
        done = "closed, to be run again" if self.is_closed else "would be closed; --yes does it"
        return [f"{self.experiment_id}: {count} {done}"]


def lost(study: Study, selections: Sequence[str], *, now: datetime) -> Lost:
    """Find the lost attempts that are named, each of which must be lost; changes nothing.

    Parameters
    ----------
    study : the experiment
    selections : conditions and factor=level
    now : the clock [UTC]

    Raises
    ------
    ConfigError
        A condition does not exist or is not lost: nobody closes a job that the queue still shows.
    """
    chosen = select(study.manifest, selections)
    con = study.connect((LOST, STATES), now=now)
    try:
        found = [row for row in rows(con, LOST) if row["condition_id"] in chosen]
        states = {row["condition_id"]: row for row in rows(con, STATES)}
    finally:
        con.close()
    others = [states[name] for name in chosen.keys() - {row["condition_id"] for row in found}]
    if others:
        told = sorted(f"{row['condition_id']} ({_told(row)})" for row in others)
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
    study, selections, now : as for ``lost``
    by : who looked
    reason : how they know that the job has ended

    Raises
    ------
    ConfigError
        As ``lost``; nothing is closed then.
    """
    from fmon.redact import redact  # what a person pastes may hold a secret

    found = lost(study, selections, now=now)
    dry_run = {"dry_run": True} if study.manifest.is_replay else {}
    for row in found.rows:
        which = {"condition_id": row["condition_id"], "job_id": row["job_id"]}
        append_event(study.store, "lost_job_closed", at=now, **which, by=by, reason=redact(reason), **dry_run)
    return Lost(experiment_id=found.experiment_id, rows=found.rows, is_closed=True)


def _told(row: dict[str, Any]) -> str:
    if row["state"] == "lost":
        return "lost, closed already" if row["is_terminal"] else "lost"
    return str(row["status"] or row["state"])
