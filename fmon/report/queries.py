"""The queries of the report: plain selects, so that the report can't contradict a view.

Every query runs over one experiment. Lists are bounded here, and each row has the number of all rows.
"""

EXPERIMENT = """
select
    experiment.experiment_id,
    experiment.experiment_name,
    experiment.is_replayed,
    experiment.created_at,
    experiment.now_at,
    experiment.budget_usd,
    experiment.current_cycle,
    experiment.max_relaunch_cycles
from experiment
"""

SUMMARY = """
select
    experiment_summary.condition_count,
    experiment_summary.succeeded_count,
    experiment_summary.failed_count,
    experiment_summary.running_count,
    experiment_summary.pending_count,
    experiment_summary.lost_count,
    experiment_summary.missing_count,
    experiment_summary.cancelled_count,
    experiment_summary.open_count,
    experiment_summary.cycle_count,
    experiment_summary.job_count,
    experiment_summary.unpriced_count,
    experiment_summary.reported_count,
    experiment_summary.impossible_count,
    experiment_summary.cost_usd,
    experiment_summary.wasted_usd,
    experiment_summary.cost_per_success_usd,
    round(experiment_summary.run_h, 6) as run_h,
    experiment_summary.detection_latency_s
from experiment_summary
"""

ALARMS = """
select
    alarm.kind,
    alarm.severity,
    alarm.condition_id,
    alarm.job_id,
    alarm.message,
    alarm.value,
    alarm.threshold,
    alarm.started_at,
    alarm.raised_at,
    alarm.cleared_at,
    count(*) over () as total
from alarm
order by
    alarm.cleared_at is not null, alarm.severity <> 'critical', alarm.raised_at desc, alarm.kind, alarm.job_id
limit $most
"""

ALARM_COUNTS = """
select
    alarm_count.kind,
    alarm_count.severity,
    alarm_count.raised_count,
    alarm_count.open_count
from alarm_count
order by alarm_count.severity, alarm_count.kind
"""

LEVELS = """
select
    coverage.factor,
    coverage.level,
    coverage.expected_count,
    coverage.succeeded_count,
    coverage.failed_count,
    coverage.open_count,
    coverage.cancelled_count,
    coverage.missing_count,
    coverage.unpriced_count,
    coverage.cost_usd,
    coverage.wasted_usd,
    count(*) over (partition by coverage.factor) as total
from coverage
qualify
    row_number() over (partition by coverage.factor order by coverage.level_number, coverage.level) <= $most
order by
    min(coverage.factor_number) over (partition by coverage.factor),
    coverage.factor,
    coverage.level_number,
    coverage.level
"""

MATRIX = """
select
    matrix.row_level,
    matrix.column_level,
    matrix.expected_count,
    matrix.succeeded_count,
    matrix.failed_count,
    matrix.cancelled_count,
    matrix.running_count,
    matrix.pending_count,
    matrix.lost_count,
    matrix.missing_count,
    matrix.unpriced_count,
    matrix.median_run_s,
    matrix.cost_usd
from coverage_matrix($experiment, $row, $column) as matrix
where list_contains($row_levels, matrix.row_level) and list_contains($column_levels, matrix.column_level)
"""

CYCLES = """
select
    cycle_cost.cycle,
    cycle_cost.job_count,
    cycle_cost.unpriced_count,
    round(cycle_cost.run_h, 6) as run_h,
    cycle_cost.cost_usd,
    cycle_cost.wasted_usd
from cycle_cost
order by cycle_cost.cycle
"""

# One row if SkyPilot's cost report has figures, otherwise none.
RECONCILED = """
select
    cost_reconciliation.job_count,
    cost_reconciliation.reported_count,
    cost_reconciliation.reported_usd,
    cost_reconciliation.compared_count,
    cost_reconciliation.difference_usd,
    cost_reconciliation.reported_at
from cost_reconciliation
"""

# Only ended jobs: the cost of an open one still changes. A recording has no server to ask.
ENDED_AT_SKYPILOT = """
select
    billable_job.job_key,
    billable_job.task_names,
    billable_job.submitted_at
from billable_job
order by billable_job.job_key
"""

# SkyPilot ends its reasons with a command that names the job; without its number the reasons are equal.
FAILURES = """
select
    failure_reason.status,
    left(nullif(failure_reason.reason, ''), $most_characters) as reason,
    length(nullif(failure_reason.reason, '')) as reason_length,
    failure_reason.condition_count,
    failure_reason.condition_ids[:$most_ids] as condition_ids,
    count(*) over () as total
from failure_reason
order by failure_reason.condition_count desc, failure_reason.status, nullif(failure_reason.reason, '')
limit $most
"""

POLLS = """
select
    poll_summary.poll_count,
    poll_summary.failed_count,
    poll_summary.first_polled_at as first_at,
    poll_summary.last_polled_at as last_at,
    poll_summary.median_gap_s,
    poll_summary.longest_gap_s
from poll_summary
"""

GAPS = """
select
    poll.poll_id,
    poll.gap_s,
    poll.polled_at,
    count(*) over () as total
from poll
inner join poll_summary on poll.experiment_id = poll_summary.experiment_id
where poll.gap_s > 3 * poll_summary.median_gap_s
order by poll.gap_s desc, poll.poll_id
limit $most
"""

FAILED_POLLS = """
select
    poll_error.error_type,
    left(nullif(poll_error.error, ''), $most_characters) as error,
    poll_error.poll_count,
    poll_error.first_polled_at as first_at,
    poll_error.last_polled_at as last_at,
    count(*) over () as total
from poll_error
order by poll_error.poll_count desc, poll_error.error_type, nullif(poll_error.error, '')
limit $most
"""

# If not all conditions are shown, those that need attention come first.
CONDITIONS = """
select
    condition.condition_id,
    condition.state,
    condition.status,
    condition.category,
    condition.job_id,
    condition.cycle,
    condition.recovery_count,
    condition.run_s,
    condition.cost_usd,
    count(*) over () as total
from condition
order by
    case
        when count(*) over () <= $most then 0
        else list_position(
            ['failed', 'lost', 'missing', 'cancelled', 'running', 'pending', 'succeeded'], condition.state
        )
    end,
    condition.manifest_position
limit case when (select count(*) from condition) <= $most then $most else $most_of_many end
"""

ROOT_CAUSES = """
select
    cause.root_cause_id,
    cause.category,
    cause.root_cause,
    cause.failed_count
from cause
order by cause.failed_count desc, cause.root_cause_id
"""

NOW = "select experiment.now_at from experiment"

# For a recording no MLflow is asked, since its runs may be anywhere.
RUNS_SINCE = """
select min(timeline.from_at) - interval 5 minutes as since
from timeline
inner join experiment on timeline.experiment_id = experiment.experiment_id
where not experiment.is_replayed
"""

RUNS = """
select
    run.condition_id,
    run.run_id,
    run.status,
    run.url,
    run.metrics,
    count(*) over () as total
from run
inner join condition on run.condition_id = condition.condition_id
where run.is_newest
order by condition.manifest_position
limit $most
"""

STRAY_RUNS = """
select count(*) as run_count
from run
where run.condition_id is null
"""
