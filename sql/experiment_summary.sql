-- The experiment in one row: conditions by state, cost, and how soon failures were noticed.
create or replace view experiment_summary as
with counted as (
    select
        condition.experiment_id,
        count(*) as condition_count,
        count(*) filter (where condition.state = 'succeeded') as succeeded_count,
        count(*) filter (where condition.state = 'failed') as failed_count,
        count(*) filter (where condition.state = 'cancelled') as cancelled_count,
        count(*) filter (where condition.state = 'running') as running_count,
        count(*) filter (where condition.state = 'pending') as pending_count,
        count(*) filter (where condition.state = 'lost') as lost_count,
        count(*) filter (where condition.state = 'lost' and not condition.is_terminal) as lost_open_count,
        count(*) filter (where condition.state = 'missing') as missing_count
    from condition
    group by condition.experiment_id
),

launched as (
    select
        attempt.experiment_id,
        count(distinct attempt.cycle) as cycle_count
    from attempt
    group by attempt.experiment_id
),

spent as (
    select
        cycle_cost.experiment_id,
        cast(sum(cycle_cost.job_count) as bigint) as job_count,
        cast(sum(cycle_cost.unpriced_count) as bigint) as unpriced_count,
        cast(sum(cycle_cost.reported_count) as bigint) as reported_count,
        cast(sum(cycle_cost.impossible_count) as bigint) as impossible_count,
        sum(cycle_cost.run_h) as run_h,
        cast(sum(cycle_cost.cost_usd) as decimal(18, 4)) as cost_usd,
        cast(sum(cycle_cost.wasted_usd) as decimal(18, 4)) as wasted_usd
    from cycle_cost
    group by cycle_cost.experiment_id
),

-- A job with several tasks failed when its first task failed.
noticed as (
    select
        job.experiment_id,
        job.job_id,
        job.job_key,
        -- The times come from two clocks; a negative difference is impossible.
        arg_min(
            case
                when job.detected_at >= job.end_at
                    then (epoch_us(job.detected_at) - epoch_us(job.end_at)) / 1e6
            end,
            job.end_at
        ) as latency_s
    from job
    where job.is_failed and job.role <> 'duplicate'
    group by job.experiment_id, job.job_id, job.job_key
),

latency as (
    select
        noticed.experiment_id,
        median(noticed.latency_s) as detection_latency_s
    from noticed
    group by noticed.experiment_id
)

select
    experiment.experiment_id,
    coalesce(counted.condition_count, 0) as condition_count,
    coalesce(counted.succeeded_count, 0) as succeeded_count,
    coalesce(counted.failed_count, 0) as failed_count,
    coalesce(counted.cancelled_count, 0) as cancelled_count,
    -- A lost job may still run and cost money, so it is open until a person has checked and closed it.
    coalesce(counted.pending_count + counted.running_count + counted.lost_open_count, 0) as open_count,
    coalesce(counted.pending_count, 0) as pending_count,
    coalesce(counted.running_count, 0) as running_count,
    coalesce(counted.lost_count, 0) as lost_count,
    coalesce(counted.missing_count, 0) as missing_count,
    coalesce(launched.cycle_count, 0) as cycle_count,
    coalesce(spent.job_count, 0) as job_count,
    coalesce(spent.unpriced_count, 0) as unpriced_count,
    coalesce(spent.reported_count, 0) as reported_count,
    coalesce(spent.impossible_count, 0) as impossible_count,
    coalesce(spent.run_h, 0) as run_h,
    spent.run_h / nullif(counted.succeeded_count, 0) as run_per_success_h,
    latency.detection_latency_s,
    cast(case when spent.experiment_id is null then 0 else spent.cost_usd end as decimal(18, 4)) as cost_usd,
    cast(
        case when spent.experiment_id is null then 0 else spent.wasted_usd end as decimal(18, 4)
    ) as wasted_usd,
    cast(spent.cost_usd / nullif(counted.succeeded_count, 0) as decimal(18, 4)) as cost_per_success_usd
from experiment
left join counted on experiment.experiment_id = counted.experiment_id
left join launched on experiment.experiment_id = launched.experiment_id
left join spent on experiment.experiment_id = spent.experiment_id
left join latency on experiment.experiment_id = latency.experiment_id;

comment on view experiment_summary is 'An experiment in one row; grain: experiment_id';
comment on column experiment_summary.experiment_id is 'the experiment [id]';
comment on column experiment_summary.condition_count is 'conditions, launched or not [count]';
comment on column experiment_summary.succeeded_count is 'conditions that succeeded [count]';
comment on column experiment_summary.failed_count is 'conditions that failed [count]';
comment on column experiment_summary.cancelled_count is 'cancelled conditions [count]';
comment on column experiment_summary.open_count is
'conditions that are pending, running, or lost and not closed by a person [count]';
comment on column experiment_summary.pending_count is 'pending conditions [count]';
comment on column experiment_summary.running_count is 'running conditions [count]';
comment on column experiment_summary.lost_count is
'lost conditions: not ended, but not in the queue; including those that a person closed [count]';
comment on column experiment_summary.missing_count is 'conditions never launched [count]';
comment on column experiment_summary.cycle_count is 'cycles launched; 0 = nothing launched [count]';
comment on column experiment_summary.job_count is
'jobs seen, including superseded ones and duplicates [count]';
comment on column experiment_summary.unpriced_count is 'of them those whose cost is unknown [count]';
comment on column experiment_summary.reported_count is
'of these, jobs whose cost SkyPilot reported; the others are estimated [count]';
comment on column experiment_summary.impossible_count is
'of these, jobs with impossible times or durations, see view impossible_time [count]';
comment on column experiment_summary.run_h is 'run time of all jobs as reported by SkyPilot [h]';
comment on column experiment_summary.run_per_success_h is
'run_h per succeeded condition; null = no success [h]';
comment on column experiment_summary.detection_latency_s is
'median time from a failure to the first poll that showed it; null = no failure [s]';
comment on column experiment_summary.cost_usd is 'known cost; null = no cost is known [USD]';
comment on column experiment_summary.wasted_usd is
'part of cost_usd: the cost of failed attempts; null = no cost is known [USD]';
comment on column experiment_summary.cost_per_success_usd is
'cost_usd per succeeded condition; a lower bound while unpriced_count > 0; null = no success [USD]';
