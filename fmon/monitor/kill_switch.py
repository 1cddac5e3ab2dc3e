"""Check the kill switch after failures were examined, and record each firing once.

Cancels nothing. A marker in the store identifies the findings that were checked: a poll without new findings
only compares file attributes, and if a poll is killed before it has recorded a firing, the next one does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from fmon.events import KillSwitchEvent
from fmon.rules.kill_switch import CycleJob, kill_switch, too_many_failed
from fmon.store.durable import remove, write_durably
from fmon.store.events import append_event, read_events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fmon.model import Manifest
    from fmon.rules.kill_switch import Firing
    from fmon.store.folder import Store

FINDINGS, MARK = "findings.parquet", ".kill_switch"

JOBS = """
select
    longest_run.condition_id,
    longest_run.job_id,
    longest_run.job_key,
    longest_run.cycle,
    entry.factors,
    longest_run.is_open,
    longest_run.is_failed,
    longest_run.has_succeeded,
    longest_run.has_started,
    longest_run.longest_run_s,
    longest_run.duration_s,
    longest_run.failed_at as end_at,
    job_error.signature,
    job_error.category,
    job_error.source
from longest_run
inner join entry
    on longest_run.experiment_id = entry.experiment_id and longest_run.condition_id = entry.condition_id
left join job_error
    on longest_run.experiment_id = job_error.experiment_id and longest_run.job_key = job_error.job_key
order by longest_run.job_key
"""

CONDITIONS = "select entry.factors from entry"


def record_firings(store: Store, manifest: Manifest, *, now: datetime) -> list[KillSwitchEvent]:
    """Record the firings that the newest findings cause; do nothing if these findings were checked before.

    Parameters
    ----------
    store, manifest
        The experiment; no other process may poll it.
    now
        The poll's polled_at [UTC].

    Returns
    -------
    list of KillSwitchEvent
        The new events.

    Raises
    ------
    StoreError
        The audit log can't be written; the next poll tries again.
    """
    seen = _fingerprint(store)
    if seen is None or seen == _checked_findings(store):
        return []
    events = _decide(store, manifest, now=now)
    for event in events:
        append_event(store, event, is_replay=manifest.is_replay)
    write_durably(store.path / MARK, seen)
    return events


def check_again(store: Store) -> None:
    """Make the next examination check the kill switch again, because the config has changed."""
    remove(store.path / MARK)


def _decide(store: Store, manifest: Manifest, *, now: datetime) -> list[KillSwitchEvent]:
    """Read the views and apply the rules to each cycle."""
    # Loads DuckDB, so only done by a poll with new findings.
    from fmon.warehouse import column, connect, typed_rows

    con = connect(store.path.parent, store.experiment_id, now=now, queries=(JOBS, CONDITIONS))
    by_cycle: dict[int, list[CycleJob]] = {}
    for job in typed_rows(con, JOBS, CycleJob):
        by_cycle.setdefault(job.cycle, []).append(job)
    conditions = column(con, CONDITIONS)
    con.close()
    recorded = [event for event in read_events(store) if isinstance(event, KillSwitchEvent)]
    found = []
    for cycle, jobs in by_cycle.items():
        fired = [event for event in recorded if event.cycle == cycle]
        alike = [event for event in fired if event.trigger == "identical_errors"]
        members = {key for event in alike for key in event.member_job_ids}
        new = [("identical_errors", firing) for firing in kill_switch(jobs, conditions, members)]
        if len(alike) == len(fired):
            count = len(conditions) if cycle == 0 else len(jobs)
            ratio = too_many_failed(jobs, condition_count=count, max_failed_ratio=manifest.max_failed_ratio)
            new += [("failed_ratio", ratio)] if ratio else []
        found += [_event(trigger, cycle, firing, now=now) for trigger, firing in new]
    return found


def _event(trigger: str, cycle: int, firing: Firing, *, now: datetime) -> KillSwitchEvent:
    return KillSwitchEvent(at=now, trigger=trigger, cycle=cycle, **msgspec.structs.asdict(firing))


def _fingerprint(store: Store) -> bytes | None:
    """Return a fingerprint of the findings; None if there are none."""
    try:
        stat = (store.path / FINDINGS).stat()
    except FileNotFoundError:
        return None
    return f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}\n".encode()


def _checked_findings(store: Store) -> bytes | None:
    try:
        return (store.path / MARK).read_bytes()
    except FileNotFoundError:
        return None


class Fired(Protocol):
    """The fields of a firing, both as an event and as a row of view ``kill_switch``, that sentences use."""

    @property
    def trigger(self) -> str:
        """The trigger: identical_errors or failed_ratio."""

    @property
    def failed_count(self) -> int:
        """Number of failed jobs."""

    @property
    def category(self) -> str | None:
        """Category of the identical error."""

    @property
    def combination(self) -> dict[str, str]:
        """The levels that the failed jobs share, by factor."""

    @property
    def no_action_reason(self) -> str | None:
        """Why no job is proposed for cancelling."""


def firing_reason(firing: Fired) -> str:
    """Return why the kill switch fired.

    Parameters
    ----------
    firing
        Its event, or a row of view ``kill_switch``.
    """
    if firing.trigger == "failed_ratio":
        return f"{firing.failed_count:,} jobs failed, more than max_failed_ratio"
    where = " ".join(f"{factor}={level}" for factor, level in firing.combination.items())
    return f"{firing.failed_count:,} jobs failed with the identical error ({firing.category})" + (
        f" at {where}" if where else ""
    )


def firing_sentence(firing: Fired, *, proposed: Sequence[int], experiment_id: str, most: int = 20) -> str:
    """Return why the kill switch fired, which jobs it proposes to cancel, and the command to do so.

    Parameters
    ----------
    firing
        As for ``firing_reason``.
    proposed
        Jobs that can still be cancelled.
    experiment_id
        The experiment.
    most
        Maximum number of jobs to list; the others are counted.
    """
    sentence = firing_reason(firing)
    if not proposed:
        reason = f": {firing.no_action_reason}" if firing.no_action_reason else ""
        return f"{sentence}; nothing to cancel{reason}"
    more = f" and {len(proposed) - most:,} more" if len(proposed) > most else ""
    listed = ", ".join(map(str, proposed[:most])) + more
    command = f"fmon cancel --kill-switch -e {experiment_id}"
    return f"{sentence}; to cancel job {listed}, run {command}"
