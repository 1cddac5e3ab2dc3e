-- What each cycle has cost, jobs that were superseded or launched twice included: they cost money too.
create or replace view cycle_cost as
with whole as (
    select
        job.experiment_id,
        job.cycle,
        job.job_id,
        sum(job.run_s) as run_s,
        sum(job.machine_s) as machine_s,
        sum(job.cost_usd) as cost_usd,
        bool_or(job.cost_usd is null) as is_unpriced,
        bool_or(job.is_failed and job.role <> 'duplicate') as is_wasted
    from job
    group by job.experiment_id, job.cycle, job.job_id
),

priced as (
    select
        whole.experiment_id,
        whole.cycle,
        whole.job_id,
        whole.run_s,
        whole.machine_s,
        whole.cost_usd,
        whole.is_unpriced,
        whole.is_wasted,
        cast(reported_cost.reported_usd as decimal(18, 4)) as reported_usd,
        not whole.is_unpriced and reported_cost.reported_usd is not null as is_comparable,
        reported_cost.reported_at
    from whole
    left join reported_cost
        on whole.experiment_id = reported_cost.experiment_id and whole.job_id = reported_cost.job_id
)

select
    priced.experiment_id,
    priced.cycle,
    count(*) as job_count,
    count(*) filter (where priced.is_unpriced) as unpriced_count,
    coalesce(sum(priced.run_s), 0) / 3600 as run_h,
    coalesce(sum(priced.machine_s), 0) / 3600 as machine_h,
    cast(sum(priced.cost_usd) as decimal(18, 4)) as cost_usd,
    cast(
        case
            when count(*) filter (where priced.is_wasted) = 0 then 0
            else sum(priced.cost_usd) filter (where priced.is_wasted)
        end as decimal(18, 4)
    ) as wasted_usd,
    count(priced.reported_usd) as reported_count,
    cast(sum(priced.reported_usd) as decimal(18, 4)) as reported_usd,
    count(*) filter (where priced.is_comparable) as compared_count,
    -- Only over jobs that have both: a job without a price would look like a saving.
    cast(
        sum(priced.cost_usd - priced.reported_usd) filter (where priced.is_comparable) as decimal(18, 4)
    ) as difference_usd,
    max(priced.reported_at) as reported_at
from priced
group by priced.experiment_id, priced.cycle;

comment on view cycle_cost is 'What the jobs of a cycle have cost; grain: experiment_id, cycle';
comment on column cycle_cost.experiment_id is 'the experiment [id]';
comment on column cycle_cost.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column cycle_cost.job_count is 'jobs seen, superseded ones and duplicates too [count]';
comment on column cycle_cost.unpriced_count is 'of them those whose cost is unknown [count]';
comment on column cycle_cost.run_h is 'run time of all jobs as SkyPilot counts it [h]';
comment on column cycle_cost.machine_h is 'time with a machine, where it is known [h]';
comment on column cycle_cost.cost_usd is 'cost where it is known; null = all of it unknown [USD]';
comment on column cycle_cost.wasted_usd is
'of it the cost of failed attempts, see view failure; null = all of it unknown [USD]';
comment on column cycle_cost.reported_count is
'ended jobs for which SkyPilot''s own cost report had a cost [count]';
comment on column cycle_cost.reported_usd is
'what they cost by SkyPilot''s own cost report; null = it was not asked or had no cost of these jobs [USD]';
comment on column cycle_cost.compared_count is 'of them those whose cost fmon knows too [count]';
comment on column cycle_cost.difference_usd is
'cost as fmon has it minus SkyPilot''s own, over exactly these; null = there are none [USD]';
comment on column cycle_cost.reported_at is 'when SkyPilot was asked last [UTC]';
