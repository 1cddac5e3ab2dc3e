"""The kill-switch's firings: looked for after failures were examined, and recorded once.

Cancels nothing. A mark in the store names the findings that were looked at: a poll that examined nothing
new compares two file times, and one that died between examining and recording is made up for by the next.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fmon.model import Manifest
from fmon.store.folder import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fmon.model import Manifest
    from fmon.store.folder import Store

from typing import TYPE_CHECKING

from fmon.rules.kill_switch import kill_switch, too_many_failed
from fmon.store.durable import remove, write_durably
from fmon.store.events import append_event, read_events

FINDINGS, MARK = "findings.parquet", ".kill_switch"

JOBS = """
with examined as (
    select
        finding.experiment_id,
        finding.job_id,
        arg_min(finding.signature, finding.task_id) as signature,
        arg_min(finding.category, finding.task_id) as category,
        arg_min(finding.source, finding.task_id) as source
    from finding
    group by finding.experiment_id, finding.job_id
)

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
    examined.signature,
    examined.category,
    examined.source
from longest_run
inner join entry
    on longest_run.experiment_id = entry.experiment_id and longest_run.condition_id = entry.condition_id
left join examined
    on longest_run.experiment_id = examined.experiment_id and longest_run.job_id = examined.job_id
order by longest_run.job_id
"""

CONDITIONS = "select entry.factors from entry"


def record_firings(store: Store, manifest: Manifest, *, now: datetime) -> list[dict[str, Any]]:
    """Record the firings that the newest findings bring; nothing where those were looked at already.

    Parameters
    ----------
    store, manifest : the experiment; whoever polls it is alone
    now : the poll's polled_at [UTC]

    Returns
    -------
    list of dict
        The new events ``kill_switch``, without their time.

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
        append_event(store, "kill_switch", at=now, **event)
    write_durably(store.path / MARK, seen)
    return events


def look_again(store: Store) -> None:
    """Let the next examination look for firings although the findings are the same: the config is not."""
    remove(store.path / MARK)


def _decide(store: Store, manifest: Manifest, *, now: datetime) -> list[dict[str, Any]]:
    """Ask the views, then the rules, cycle by cycle."""
    from fmon.warehouse import connect, rows  # loads DuckDB: only a poll that saw a failure comes here

    con = connect(store.path.parent, store.experiment_id, now=now, queries=(JOBS, CONDITIONS))
    by_cycle: dict[int, list[dict[str, Any]]] = {}
    for job in rows(con, JOBS):
        by_cycle.setdefault(job["cycle"], []).append(job)
    conditions = rows(con, CONDITIONS)
    con.close()
    recorded = [event for event in read_events(store) if event.get("event") == "kill_switch"]
    found = []
    for cycle, jobs in by_cycle.items():
        fired = [event for event in recorded if event["cycle"] == cycle]
        alike = [event for event in fired if event["trigger"] == "identical_errors"]
        new = [("identical_errors", firing) for firing in kill_switch(jobs, conditions, alike)]
        if len(alike) == len(fired):
            count = len(conditions) if cycle == 0 else len(jobs)
            ratio = too_many_failed(jobs, condition_count=count, max_failed_ratio=manifest.max_failed_ratio)
            new += [("failed_ratio", ratio)] if ratio else []
        dry_run = {"dry_run": True} if manifest.is_replay else {}
        found += [{"trigger": trigger, "cycle": cycle, **firing, **dry_run} for trigger, firing in new]
    return found


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


def firing_reason(firing: Mapping[str, Any]) -> str:
    """Say why the kill-switch fired; ``firing`` is its event, or a row of view ``kill_switch``.

    Examples
    --------
    >>> firing_reason({"trigger": "failed_ratio", "failed_count": 9})
    '9 jobs failed, more than max_failed_ratio'
    """
    count = firing["failed_count"] if "failed_count" in firing else len(firing["member_job_ids"])
    if firing["trigger"] == "failed_ratio":
        return f"{count:,} jobs failed, more than max_failed_ratio"
    where = " ".join(f"{factor}={level}" for factor, level in firing["combination"].items())
    return f"{count:,} jobs failed with the identical error ({firing['category']})" + (
        f" at {where}" if where else ""
    )


def firing_sentence(
    firing: Mapping[str, Any], *, proposed: Sequence[int], experiment_id: str, most: int = 20
) -> str:
    """Say why the kill-switch fired, which jobs are better cancelled, and what to type for it.

    Parameters
    ----------
    firing : as for ``firing_reason``
    proposed : jobs to cancel as things stand
    experiment_id : the experiment
    most : jobs to name; how many more there are is said
    """
    said = firing_reason(firing)
    if not proposed:
        return f"{said}; nothing to cancel" + (
            f": {firing['no_action_reason']}" if firing["no_action_reason"] else ""
        )
    more = f" and {len(proposed) - most:,} more" if len(proposed) > most else ""
    listed = ", ".join(map(str, proposed[:most])) + more
    command = f"fmon cancel --kill-switch --yes --experiment {experiment_id}"
    return f"{said}; better cancelled: job {listed}: {command}"
