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
        bool_or(job.cost_usd is null) as is_unpriced
    from job
    group by job.experiment_id, job.cycle, job.job_id
)

select
    whole.experiment_id,
    whole.cycle,
    count(*) as job_count,
    count(*) filter (where whole.is_unpriced) as unpriced_count,
    coalesce(sum(whole.run_s), 0) / 3600 as run_h,
    coalesce(sum(whole.machine_s), 0) / 3600 as machine_h,
    cast(sum(whole.cost_usd) as decimal(18, 4)) as cost_usd
from whole
group by whole.experiment_id, whole.cycle;

comment on view cycle_cost is 'What the jobs of a cycle have cost; grain: experiment_id, cycle';
comment on column cycle_cost.experiment_id is 'the experiment [id]';
comment on column cycle_cost.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column cycle_cost.job_count is 'jobs seen, superseded ones and duplicates too [count]';
comment on column cycle_cost.unpriced_count is 'of them those whose cost is unknown [count]';
comment on column cycle_cost.run_h is 'run time of all jobs as SkyPilot counts it [h]';
comment on column cycle_cost.machine_h is 'time with a machine, where it is known [h]';
comment on column cycle_cost.cost_usd is 'cost where it is known; null = all of it unknown [USD]';
