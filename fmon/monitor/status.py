"""Phase 2, monitor: the state of every condition.

Reads the views; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from fmon.model import STATES
from fmon.monitor.eta import ETA, Guess, eta_of
from fmon.monitor.kill_switch import firing_sentence
from fmon.text import cost, cost_source, counted
from fmon.warehouse import typed_rows

if TYPE_CHECKING:
    import duckdb

    from fmon.monitor.eta import Eta
    from fmon.monitor.queued import Queued


ALWAYS_SHOWN = ("failed", "running")

EXPERIMENT = """
select
    experiment.experiment_id,
    experiment.experiment_name,
    experiment.is_replayed,
    experiment.clock_at as now_at,
    experiment.is_from_file,
    poll.poll_id,
    poll.polled_at,
    poll.error_type,
    poll.error,
    coalesce(poll.job_count = 0, false) as is_queue_empty,
    experiment.last_ok_at,
    epoch(experiment.clock_at) - epoch(poll.polled_at) as poll_age_s,
    epoch(experiment.clock_at) - epoch(experiment.last_ok_at) as ok_age_s,
    experiment_summary.condition_count,
    experiment_summary.succeeded_count,
    experiment_summary.failed_count,
    experiment_summary.running_count,
    experiment_summary.pending_count,
    experiment_summary.lost_count,
    experiment_summary.missing_count,
    experiment_summary.cancelled_count,
    experiment_summary.open_count,
    experiment_summary.job_count,
    experiment_summary.unpriced_count,
    experiment_summary.reported_count,
    experiment_summary.impossible_count,
    experiment_summary.cost_usd
from experiment
inner join experiment_summary on experiment.experiment_id = experiment_summary.experiment_id
left join newest_poll as poll on experiment.experiment_id = poll.experiment_id
"""

# Only active alarms: past episodes need not be searched.
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
from raised_alarm(true) as alarm
where alarm.cleared_at is null
order by alarm.severity <> 'critical', alarm.raised_at, alarm.kind, alarm.job_id
"""

# Shown before other alarms. Only of the current cycle: earlier ones are settled by the relaunch.
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
asof left join lost_job_closure
    on
        condition.experiment_id = lost_job_closure.experiment_id
        and condition.job_key = lost_job_closure.job_key
        and if(condition.state = 'lost', condition.since_at, null) <= lost_job_closure.closed_at
order by condition.manifest_position
"""

QUERIES = (EXPERIMENT, ALARMS, FIRINGS, CONDITIONS, ETA)
"""The queries of ``status``, for ``connect``."""


class Alarm(msgspec.Struct, frozen=True):
    """An active alarm: the columns of ``ALARMS``; ``value`` and ``threshold`` are in ``unit``."""

    kind: str
    severity: str
    condition_id: str | None
    job_id: int | None
    message: str
    value: float | None
    threshold: float | None
    unit: str | None
    started_at: datetime | None
    raised_at: datetime


class ConditionRow(msgspec.Struct, frozen=True):
    """The state of a condition: the columns of ``CONDITIONS``.

    Attributes
    ----------
    since_at
        When it entered this state [UTC].
    closed_by, closed_reason, closed_at
        The person who closed it as lost, the evidence, and the time [UTC].
    """

    condition_id: str
    kind: str
    factors: dict[str, str]
    job_id: int | None
    job_name: str
    cycle: int | None
    state: str
    status: str | None
    category: str | None
    failure_reason: str | None
    recovery_count: int | None
    run_s: float | None
    cost_usd: Decimal | None
    submitted_at: datetime | None
    start_at: datetime | None
    end_at: datetime | None
    since_at: datetime | None
    closed_by: str | None
    closed_reason: str | None
    closed_at: datetime | None


class ExperimentRow(msgspec.Struct, frozen=True):
    """The experiment and its newest poll: the columns of ``EXPERIMENT``."""

    experiment_id: str
    experiment_name: str
    is_replayed: bool
    now_at: datetime
    is_from_file: bool
    poll_id: int | None
    polled_at: datetime | None
    error_type: str | None
    error: str | None
    is_queue_empty: bool
    last_ok_at: datetime | None
    poll_age_s: float | None
    ok_age_s: float | None
    condition_count: int
    succeeded_count: int
    failed_count: int
    running_count: int
    pending_count: int
    lost_count: int
    missing_count: int
    cancelled_count: int
    open_count: int
    job_count: int
    unpriced_count: int
    reported_count: int
    impossible_count: int
    cost_usd: Decimal | None

    @property
    def counts(self) -> dict[str, int]:
        """Conditions by state."""
        return {state: getattr(self, f"{state}_count") for state in STATES}


class FiringRow(msgspec.Struct, frozen=True):
    """A firing of the kill switch in the current cycle: the columns of ``FIRINGS``."""

    trigger: str
    category: str | None
    combination: dict[str, str]
    no_action_reason: str | None
    cancel_job_ids: list[int]
    failed_count: int
    first_failed_at: datetime | None
    fired_at: datetime


@dataclass(frozen=True, kw_only=True)
class Status:
    """An experiment as of its last poll.

    Attributes
    ----------
    now_at
        The current time of the views [UTC]; for a replay, the time of the last poll.
    is_from_file
        The newest answer of the queue came from a file, which may be old.
    poll_id, polled_at, poll_age_s
        The newest poll, even if it failed; None = never polled.
    poll_error
        Why the newest poll failed; None = it succeeded.
    is_queue_empty
        The newest poll showed no job at all, of nobody.
    last_ok_at, ok_age_s
        The newest successful poll.
    alarms
        Firings of the kill switch, then active alarms, critical ones first.
    rows
        Every condition in the order of the manifest.
    counts
        Conditions by state, all of ``STATES``.
    open_count
        Pending, running and lost conditions.
    cost_usd
        The known cost; None = unknown.
    job_count, unpriced_count, reported_count
        Number of jobs, of those without a known cost, and of those whose cost is SkyPilot's own.
    impossible_count
        Number of jobs with times that can't be any.
    queued
        The conditions without a job; None = there are none, or it is not known.
    """

    experiment_id: str
    experiment_name: str
    is_replayed: bool
    now_at: datetime
    is_from_file: bool = False
    poll_id: int | None
    polled_at: datetime | None
    poll_age_s: float | None
    poll_error: str | None
    is_queue_empty: bool = False
    last_ok_at: datetime | None
    ok_age_s: float | None
    alarms: list[Alarm]
    rows: list[ConditionRow]
    counts: dict[str, int]
    condition_count: int
    open_count: int
    cost_usd: Decimal | None
    job_count: int
    unpriced_count: int
    reported_count: int
    impossible_count: int
    eta: Eta | None
    queued: Queued | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether no job is open, and none will be submitted without a new command."""
        return self.open_count == 0 and not self.is_awaiting(now)

    def is_awaiting(self, now: datetime) -> bool:
        """Return whether conditions without a job will be submitted without a new command."""
        return self.queued is not None and self.queued.is_awaited(now) and not self.has_fired

    @property
    def lost_open_count(self) -> int:
        """Lost jobs that nobody has closed."""
        return self.open_count - self.counts["pending"] - self.counts["running"]

    @property
    def has_only_lost(self) -> bool:
        """Whether every open job is lost: no poll will show its end unless the queue lists it again."""
        return 0 < self.open_count == self.lost_open_count and self.poll_error is None

    @property
    def lost_sentence(self) -> str:
        """What to do about the lost jobs."""
        jobs = counted(self.lost_open_count, "job is", "jobs are")
        left = f"{self.experiment_id}: only lost jobs are left: {jobs} no longer in the queue"
        close = f"fmon cancel --lost --reason TEXT -e {self.experiment_id}"
        if self.is_queue_empty:
            return (
                f"{left}, which is empty: SkyPilot's jobs controller may be stopped. Start it "
                f"(sky jobs queue --refresh), run fmon watch -e {self.experiment_id}, then close jobs that "
                f"have ended: {close}"
            )
        return f"{left}. Check whether they still run, then close them: {close}"

    @property
    def progress(self) -> str:
        """The progress line: 8/24 succeeded, 1 failed, 15 running, est. $4.20 (2 unpriced)."""
        shown = [
            f"{self.counts[state]:,} {state}"
            for state in STATES[1:]
            if self.counts[state] or state in ALWAYS_SHOWN
        ]
        done = f"{self.counts['succeeded']:,}/{self.condition_count:,} succeeded"
        source = cost_source(self.reported_count, self.job_count) if self.reported_count else ""
        spent = ("" if source else "est. ") + cost(self.cost_usd, self.unpriced_count, source)
        return ", ".join([done, *shown, spent])

    @property
    def has_fired(self) -> bool:
        """Whether the kill switch has fired in the current cycle."""
        return any(alarm.kind == "kill_switch" for alarm in self.alarms)


def status(con: duckdb.DuckDBPyConnection) -> Status:
    """Return the state of every condition of an experiment.

    Parameters
    ----------
    con
        A connection with the views of one experiment, at least those for ``QUERIES``.
    """
    (experiment,) = typed_rows(con, EXPERIMENT, ExperimentRow)
    guess = next(iter(typed_rows(con, ETA, Guess)), None)
    return Status(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.experiment_name,
        is_replayed=experiment.is_replayed,
        now_at=experiment.now_at,
        is_from_file=experiment.is_from_file,
        poll_id=experiment.poll_id,
        polled_at=experiment.polled_at,
        poll_age_s=experiment.poll_age_s,
        poll_error=_joined([text for text in (experiment.error_type, experiment.error) if text]),
        is_queue_empty=experiment.is_queue_empty,
        last_ok_at=experiment.last_ok_at,
        ok_age_s=experiment.ok_age_s,
        alarms=[*_firings(con, experiment.experiment_id), *typed_rows(con, ALARMS, Alarm)],
        rows=typed_rows(con, CONDITIONS, ConditionRow),
        counts=experiment.counts,
        condition_count=experiment.condition_count,
        open_count=experiment.open_count,
        cost_usd=experiment.cost_usd,
        job_count=experiment.job_count,
        unpriced_count=experiment.unpriced_count,
        reported_count=experiment.reported_count,
        impossible_count=experiment.impossible_count,
        eta=eta_of(guess, experiment.now_at),
    )


def exit_status(seen: Status) -> Literal[0, 3, 4, 5]:
    """Return the exit code: 0 all succeeded, 3 open jobs, 4 ended otherwise, 5 open and kill switch fired."""
    if seen.open_count:
        return 5 if seen.has_fired else 3
    return 0 if seen.counts["succeeded"] == seen.condition_count else 4


def _firings(con: duckdb.DuckDBPyConnection, experiment_id: str) -> list[Alarm]:
    """Return the firings as alarms."""
    return [
        Alarm(
            kind="kill_switch",
            severity="critical",
            condition_id=None,
            job_id=None,
            message=firing_sentence(firing, proposed=firing.cancel_job_ids, experiment_id=experiment_id),
            value=float(firing.failed_count),
            threshold=None,
            unit="count",
            started_at=firing.first_failed_at,
            raised_at=firing.fired_at,
        )
        for firing in typed_rows(con, FIRINGS, FiringRow)
    ]


def _joined(error: list[str]) -> str | None:
    """Join type and message of a failed poll; the message often begins with its type."""
    if len(error) == 2 and error[1].startswith(error[0]):
        return error[1]
    return ": ".join(error) or None
