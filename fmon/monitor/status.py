"""Phase 2, monitor: where every condition stands.

Reads the views; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fmon.monitor.eta import ETA, eta_of
from fmon.monitor.kill_switch import firing_sentence
from fmon.text import cost
from fmon.warehouse import rows

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    import duckdb

    from fmon.monitor.eta import Eta

STATES = ("succeeded", "failed", "running", "pending", "lost", "missing", "cancelled")
"""All states of a condition, in the order of the progress line."""

ALWAYS_SHOWN = ("failed", "running")

# The newest poll straight from the heartbeats: view poll would compare all polls of a year for it.
EXPERIMENT = """
with newest as (
    select
        heartbeat.experiment_id,
        max(heartbeat.poll_id) as poll_id
    from heartbeat
    group by heartbeat.experiment_id
)

select
    experiment.experiment_id,
    experiment.experiment_name,
    experiment.is_replayed,
    experiment.now_at,
    poll.poll_id,
    poll.polled_at,
    poll.error_type,
    poll.error,
    experiment.last_ok_at,
    epoch(experiment.now_at) - epoch(poll.polled_at) as poll_age_s,
    epoch(experiment.now_at) - epoch(experiment.last_ok_at) as ok_age_s,
    experiment_summary.condition_count,
    experiment_summary.succeeded_count,
    experiment_summary.failed_count,
    experiment_summary.running_count,
    experiment_summary.pending_count,
    experiment_summary.lost_count,
    experiment_summary.missing_count,
    experiment_summary.cancelled_count,
    experiment_summary.open_count,
    experiment_summary.unpriced_count,
    experiment_summary.cost_usd
from experiment
inner join experiment_summary on experiment.experiment_id = experiment_summary.experiment_id
left join newest on experiment.experiment_id = newest.experiment_id
left join heartbeat as poll
    on newest.experiment_id = poll.experiment_id and newest.poll_id = poll.poll_id
"""

OPEN_EPISODES = (
    "create temp table alarm_episode as select * from main.alarm_episode where cleared_poll_id is null"
)
"""Only alarms that last are shown: the spells of a past year need not be looked at."""

ALARMS = """
select
    alarm.kind,
    alarm.severity,
    alarm.condition_id,
    alarm.job_id,
    alarm.message,
    alarm.value,
    alarm.threshold,
    alarm.unit,
    alarm.started_at,
    alarm.raised_at
from alarm
where alarm.cleared_at is null
order by alarm.severity <> 'critical', alarm.raised_at, alarm.kind, alarm.job_id
"""

# First of all alarms. Only of the present cycle: a relaunch is the answer to an earlier one.
FIRINGS = """
select
    kill_switch.trigger,
    kill_switch.category,
    kill_switch.combination,
    kill_switch.no_action_reason,
    kill_switch.cancel_job_ids,
    kill_switch.failed_count,
    kill_switch.first_failed_at,
    kill_switch.fired_at
from kill_switch
inner join experiment on kill_switch.experiment_id = experiment.experiment_id
where kill_switch.cycle = experiment.current_cycle
order by kill_switch.firing_id
"""

CONDITIONS = """
select
    condition.condition_id,
    condition.kind,
    condition.factors,
    condition.job_id,
    condition.job_name,
    condition.cycle,
    condition.state,
    condition.status,
    condition.category,
    condition.failure_reason,
    condition.recovery_count,
    condition.run_s,
    condition.cost_usd,
    condition.submitted_at,
    condition.start_at,
    condition.end_at,
    condition.since_at,
    lost_job_closure.person as closed_by,
    lost_job_closure.reason as closed_reason,
    lost_job_closure.closed_at
from condition
left join lost_job_closure
    on
        condition.state = 'lost'
        and condition.experiment_id = lost_job_closure.experiment_id
        and condition.job_id = lost_job_closure.job_id
order by condition.manifest_position
"""

QUERIES = (EXPERIMENT, ALARMS, FIRINGS, CONDITIONS, ETA)
"""What is asked; ``connect`` makes the views for it."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """An experiment as of its last poll.

    Attributes
    ----------
    now_at : the clock of the views [UTC]; of a replayed experiment its last poll
    poll_id, polled_at, poll_age_s : the newest poll, failed ones too; None = never polled
    poll_error : why it failed; None = it did not
    last_ok_at, ok_age_s : the newest poll that the queue answered
    alarms : firings of the kill-switch, then the alarms that last, critical ones first
    rows : every condition in the order of the manifest
    counts : conditions by state, all of ``STATES``
    open_count : pending, running and lost conditions
    cost_usd : what is known of the cost; None = nothing is
    unpriced_count : jobs that are not in it
    """

    experiment_id: str
    experiment_name: str
    is_replayed: bool
    now_at: datetime
    poll_id: int | None
    polled_at: datetime | None
    poll_age_s: float | None
    poll_error: str | None
    last_ok_at: datetime | None
    ok_age_s: float | None
    alarms: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    counts: dict[str, int]
    condition_count: int
    open_count: int
    cost_usd: Decimal | None
    unpriced_count: int
    eta: Eta | None

    @property
    def progress(self) -> str:
        """The progress line: 8/24 succeeded, 1 failed, 15 running, est. $4.20 (2 unpriced)."""
        shown = [
            f"{self.counts[state]:,} {state}"
            for state in STATES[1:]
            if self.counts[state] or state in ALWAYS_SHOWN
        ]
        done = f"{self.counts['succeeded']:,}/{self.condition_count:,} succeeded"
        return ", ".join([done, *shown, f"est. {cost(self.cost_usd, self.unpriced_count)}"])

    @property
    def has_fired(self) -> bool:
        """Tell whether the kill-switch has fired in the present cycle."""
        return any(alarm["kind"] == "kill_switch" for alarm in self.alarms)


def status(con: duckdb.DuckDBPyConnection) -> Status:
    """Tell where every condition of an experiment stands.

    Parameters
    ----------
    con : views of one experiment, at least for ``QUERIES``; good for one call
    """
    con.execute(OPEN_EPISODES)
    experiment = rows(con, EXPERIMENT)[0]
    error = [text for text in (experiment.pop("error_type"), experiment.pop("error")) if text]
    counts = {state: experiment.pop(f"{state}_count") for state in STATES}
    return Status(
        **experiment,
        poll_error=_joined(error),
        counts=counts,
        alarms=[*_firings(con, experiment["experiment_id"]), *rows(con, ALARMS)],
        rows=rows(con, CONDITIONS),
        eta=eta_of(next(iter(rows(con, ETA)), None), experiment["now_at"]),
    )


def exit_status(seen: Status) -> Literal[0, 3, 4, 5]:
    """Give the exit code: 0 all succeeded, 4 ended otherwise, 3 open jobs, 5 open and a kill-switch fired."""
    if seen.open_count:
        return 5 if seen.has_fired else 3
    return 0 if seen.counts["succeeded"] == seen.condition_count else 4


def _firings(con: duckdb.DuckDBPyConnection, experiment_id: str) -> list[dict[str, Any]]:
    """Give the firings as alarms."""
    return [
        {
            "kind": "kill_switch",
            "severity": "critical",
            "condition_id": None,
            "job_id": None,
            "message": firing_sentence(
                firing, proposed=firing["cancel_job_ids"], experiment_id=experiment_id
            ),
            "value": float(firing["failed_count"]),
            "threshold": None,
            "unit": "count",
            "started_at": firing["first_failed_at"],
            "raised_at": firing["fired_at"],
        }
        for firing in rows(con, FIRINGS)
    ]


def _joined(error: list[str]) -> str | None:
    """Say kind and message of a failed poll; the message often begins with its kind."""
    if len(error) == 2 and error[1].startswith(error[0]):
        return error[1]
    return ": ".join(error) or None
