"""What the report asks of the views: selects and small sums, nothing that another view could contradict.

Every query runs over one experiment. Lists are bounded here, and each comes with how many there are in all.
"""

FROZEN = (
    "condition_level",
    "coverage",
    "alarm",
    "poll",
    "cycle_cost",
    "experiment_summary",
    "attempt_result",
    "attempt_result_level",
    "run",
)
"""Views in dependency order to compute once, beside those of ``connect``: every query reads some of them."""

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
    alarm.kind,
    alarm.severity,
    count(*) as raised_count,
    count(*) filter (where alarm.cleared_at is null) as open_count
from alarm
group by alarm.kind, alarm.severity
order by alarm.severity, alarm.kind
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

# A row only where SkyPilot's cost report has figures.
RECONCILED = """
select
    cast(sum(cycle_cost.job_count) as bigint) as job_count,
    cast(sum(cycle_cost.reported_count) as bigint) as reported_count,
    cast(sum(cycle_cost.reported_usd) as decimal(18, 4)) as reported_usd,
    cast(sum(cycle_cost.compared_count) as bigint) as compared_count,
    cast(sum(cycle_cost.difference_usd) as decimal(18, 4)) as difference_usd,
    max(cycle_cost.reported_at) as reported_at
from cycle_cost
having sum(cycle_cost.reported_count) > 0
"""

# Only of ended jobs: the cost of an open one has changed until it is read. A recording has no server to ask.
ENDED_AT_SKYPILOT = """
select
    job.job_id,
    list(distinct coalesce(job.task_name, job.job_name)) as task_names,
    coalesce(min(job.submitted_at), min(job.first_seen_at)) as submitted_at
from job
cross join experiment
where not experiment.is_replayed and exists (select 1 from heartbeat where heartbeat.source = 'sky')
group by job.job_id
having bool_and(job.is_terminal) and count(coalesce(job.task_name, job.job_name)) = count(*)
order by job.job_id
"""

# SkyPilot ends its reasons with a command that names the job: without the number they are the same reason.
FAILURES = """
with failed as (
    select distinct
        job.status,
        replace(
            job.failure_reason,
            'sky jobs logs --controller ' || job.job_id,
            'sky jobs logs --controller JOB_ID'
        ) as failure_reason,
        job.condition_id,
        condition.manifest_position
    from job
    inner join condition on job.condition_id = condition.condition_id
    where job.is_failed and job.role <> 'duplicate'
)

select
    failed.status,
    left(failed.failure_reason, $most_characters) as reason,
    length(failed.failure_reason) as reason_length,
    count(*) as condition_count,
    list(failed.condition_id order by failed.manifest_position)[:$most_ids] as condition_ids,
    count(*) over () as total
from failed
group by failed.status, failed.failure_reason
order by condition_count desc, failed.status, failed.failure_reason
limit $most
"""

POLLS = """
select
    count(*) as poll_count,
    count(*) filter (where not poll.is_ok) as failed_count,
    min(poll.polled_at) as first_at,
    max(poll.polled_at) as last_at,
    median(poll.gap_s) as median_gap_s,
    max(poll.gap_s) as longest_gap_s
from poll
"""

GAPS = """
with usual as (
    select median(poll.gap_s) as gap_s
    from poll
)

select
    poll.poll_id,
    poll.gap_s,
    poll.polled_at,
    count(*) over () as total
from poll
cross join usual
where poll.gap_s > 3 * usual.gap_s
order by poll.gap_s desc, poll.poll_id
limit $most
"""

FAILED_POLLS = """
select
    coalesce(poll.error_type, '') as error_type,
    left(poll.error, $most_characters) as error,
    count(*) as poll_count,
    min(poll.polled_at) as first_at,
    max(poll.polled_at) as last_at,
    count(*) over () as total
from poll
where not poll.is_ok
group by poll.error_type, poll.error
order by poll_count desc, poll.error_type, poll.error
limit $most
"""

# The conditions that want attention come first where not all are shown.
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

NOW = "select experiment.now_at from experiment"

LIVE_FIELDS = """
select
    condition.condition_id,
    condition.job_id,
    condition.status,
    condition.start_at,
    condition.end_at,
    condition.run_s,
    cast(condition.cost_usd as double) as cost_usd,
    run.run_id
from condition
left join run on condition.condition_id = run.condition_id and run.is_newest
"""

# Runs of a recording's jobs may be anywhere, and nobody is asked for them.
RUNS_SINCE = """
select min(coalesce(job.submitted_at, job.first_seen_at)) - interval 5 minutes as since
from job
cross join experiment
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
