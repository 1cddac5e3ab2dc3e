-- The cost of each cycle, including superseded and duplicate jobs, because they cost money too. It is
-- SkyPilot's own for the ended jobs in its cost report, and fmon's estimate for the others.
create or replace view cycle_cost as
with whole as (
    select
        job.experiment_id,
        job.cycle,
        job.job_id,
        job.job_key,
        sum(job.run_s) as run_s,
        sum(job.machine_s) as machine_s,
        sum(job.cost_usd) as cost_usd,
        case when count(job.estimate_usd) = count(*) then sum(job.estimate_usd) end as estimate_usd,
        sum(job.reported_usd) as reported_usd,
        bool_or(job.cost_usd is null) as is_unpriced,
        bool_or(job.impossible_count > 0) as is_impossible,
        bool_or(job.is_failed and job.role <> 'duplicate') as is_wasted
    from job
    group by job.experiment_id, job.cycle, job.job_id, job.job_key
),

priced as (
    select
        whole.experiment_id,
        whole.cycle,
        whole.job_id,
        whole.job_key,
        whole.run_s,
        whole.machine_s,
        whole.cost_usd,
        whole.estimate_usd,
        whole.reported_usd,
        whole.is_unpriced,
        whole.is_impossible,
        whole.is_wasted,
        case when whole.reported_usd is not null then reported_cost.reported_at end as reported_at
    from whole
    left join reported_cost
        on whole.experiment_id = reported_cost.experiment_id and whole.job_key = reported_cost.job_key
)

select
    priced.experiment_id,
    priced.cycle,
    count(*) as job_count,
    count(*) filter (where priced.is_unpriced) as unpriced_count,
    count(*) filter (where priced.is_impossible) as impossible_count,
    coalesce(sum(priced.run_s), 0) / 3600 as run_h,
    coalesce(sum(priced.machine_s), 0) / 3600 as machine_h,
    cast(sum(priced.cost_usd) as decimal(18, 4)) as cost_usd,
    cast(sum(priced.estimate_usd) as decimal(18, 4)) as estimate_usd,
    cast(
        case
            when count(*) filter (where priced.is_wasted) = 0 then 0
            else sum(priced.cost_usd) filter (where priced.is_wasted)
        end as decimal(18, 4)
    ) as wasted_usd,
    count(priced.reported_usd) as reported_count,
    cast(sum(priced.reported_usd) as decimal(18, 4)) as reported_usd,
    -- Only jobs that have both: otherwise a job without a price would look like a saving.
    count(priced.estimate_usd - priced.reported_usd) as compared_count,
    cast(sum(priced.estimate_usd - priced.reported_usd) as decimal(18, 4)) as difference_usd,
    max(priced.reported_at) as reported_at
from priced
group by priced.experiment_id, priced.cycle;

comment on view cycle_cost is 'The cost of the jobs of a cycle; grain: experiment_id, cycle';
comment on column cycle_cost.experiment_id is 'the experiment [id]';
comment on column cycle_cost.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column cycle_cost.job_count is 'jobs seen, including superseded ones and duplicates [count]';
comment on column cycle_cost.unpriced_count is 'jobs whose cost is unknown [count]';
comment on column cycle_cost.impossible_count is
'jobs with times or durations that can''t be any, see view impossible_time [count]';
comment on column cycle_cost.run_h is 'run time of all jobs as reported by SkyPilot [h]';
comment on column cycle_cost.machine_h is 'known time with a machine [h]';
comment on column cycle_cost.cost_usd is
'known cost: SkyPilot''s own where reported, otherwise estimated; null = no cost is known [USD]';
comment on column cycle_cost.estimate_usd is
'fmon''s estimate for the jobs that it has one for; null = none [USD]';
comment on column cycle_cost.wasted_usd is
'part of cost_usd: the cost of failed attempts, see view failure; null = no cost is known [USD]';
comment on column cycle_cost.reported_count is
'ended jobs with a cost in SkyPilot''s cost report [count]';
comment on column cycle_cost.reported_usd is
'their cost in SkyPilot''s cost report; null = not queried, or no cost for these jobs [USD]';
comment on column cycle_cost.compared_count is 'reported jobs that fmon has an estimate for [count]';
comment on column cycle_cost.difference_usd is
'fmon''s estimate minus SkyPilot''s cost, over the compared jobs; null = there are none [USD]';
comment on column cycle_cost.reported_at is 'when SkyPilot was last queried [UTC]';
