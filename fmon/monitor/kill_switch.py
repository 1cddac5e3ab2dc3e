"""The kill switch's firings: looked for after failures were examined, and recorded once.

Cancels nothing. A mark in the store names the findings that were looked at: a poll that examined nothing
new compares two file times, and one that died between examining and recording is made up for by the next.
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
    on longest_run.experiment_id = job_error.experiment_id and longest_run.job_id = job_error.job_id
order by longest_run.job_id
"""

CONDITIONS = "select entry.factors from entry"


def record_firings(store: Store, manifest: Manifest, *, now: datetime) -> list[KillSwitchEvent]:
    """Record the firings that the newest findings bring; nothing where those were looked at already.

    Parameters
    ----------
    store, manifest
        The experiment; whoever polls it is alone.
    now
        The poll's polled_at [UTC].

    Returns
    -------
    list of KillSwitchEvent
        The new events.

    Raises
    ------
    StoreError
        The audit can't be written; the next poll tries again.
    """
    seen = _fingerprint(store)
    if seen is None or seen == _looked_at(store):
        return []
    events = _decide(store, manifest, now=now)
    for event in events:
        append_event(store, event, is_replay=manifest.is_replay)
    write_durably(store.path / MARK, seen)
    return events


def look_again(store: Store) -> None:
    """Let the next examination look for firings although the findings are the same: the config is not."""
    remove(store.path / MARK)


def _decide(store: Store, manifest: Manifest, *, now: datetime) -> list[KillSwitchEvent]:
    """Ask the views, then the rules, cycle by cycle."""
    # Loads DuckDB: only a poll that saw a failure comes here.
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
        members = {job_id for event in alike for job_id in event.member_job_ids}
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
    """Tell one state of the findings from another; None where there are none."""
    try:
        stat = (store.path / FINDINGS).stat()
    except FileNotFoundError:
        return None
    return f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}\n".encode()


def _looked_at(store: Store) -> bytes | None:
    try:
        return (store.path / MARK).read_bytes()
    except FileNotFoundError:
        return None


class Fired(Protocol):
    """What a sentence about a firing needs: its event has it, and so do rows of view ``kill_switch``."""

    @property
    def trigger(self) -> str:
        """What fired: identical_errors or failed_ratio."""

    @property
    def failed_count(self) -> int:
        """How many jobs failed."""

    @property
    def category(self) -> str | None:
        """Of the identical error."""

    @property
    def combination(self) -> dict[str, str]:
        """The levels that the failed jobs share, by factor."""

    @property
    def no_action_reason(self) -> str | None:
        """Why no job is proposed for cancelling."""


def firing_reason(firing: Fired) -> str:
    """Say why the kill switch fired.

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
    """Say why the kill switch fired, which jobs are better cancelled, and what to type for it.

    Parameters
    ----------
    firing
        As for ``firing_reason``.
    proposed
        Jobs to cancel as things stand.
    experiment_id
        The experiment.
    most
        Jobs to name; how many more there are is said.
    """
    said = firing_reason(firing)
    if not proposed:
        reason = f": {firing.no_action_reason}" if firing.no_action_reason else ""
        return f"{said}; nothing to cancel{reason}"
    more = f" and {len(proposed) - most:,} more" if len(proposed) > most else ""
    listed = ", ".join(map(str, proposed[:most])) + more
    command = f"fmon cancel --kill-switch -e {experiment_id}"
    return f"{said}; better cancelled: job {listed}: {command}"
