-- What the money of each cycle was spent on. The purposes of jobs add up to cost_usd of view cycle_cost; the
-- jobs controller, which SkyPilot runs for all jobs together, is an additional row. A cost that SkyPilot
-- reported is divided like fmon's estimate. Recoveries and interrupted runs count as lost to preemption,
-- although a job with checkpoints keeps part of such a run. Failed includes lost jobs.
create or replace view cost_breakdown as
with stretch as (
    select
        machine_spell.experiment_id,
        machine_spell.job_id,
        machine_spell.job_key,
        machine_spell.task_id,
        machine_spell.phase,
        machine_spell.is_interrupted,
        coalesce(machine_spell.launch_s, 0) as launch_s,
        coalesce(machine_spell.machine_s, 0) as machine_s,
        coalesce(machine_spell.machine_s * machine_spell.price_usd_per_h, 0) / 3600 as usd,
        coalesce(machine_spell.launch_s * machine_spell.price_usd_per_h, 0) / 3600 as launch_usd
    from machine_spell
),

spent as (
    select
        stretch.experiment_id,
        stretch.job_id,
        stretch.job_key,
        stretch.task_id,
        sum(if(stretch.phase = 'teardown', stretch.machine_s, stretch.launch_s)) as setup_s,
        sum(if(stretch.phase = 'teardown', stretch.usd, stretch.launch_usd)) as setup_usd,
        sum(
            case
                when stretch.phase = 'recovery' then stretch.machine_s
                when stretch.phase = 'run' and stretch.is_interrupted
                    then stretch.machine_s - stretch.launch_s
                else 0
            end
        ) as lost_s,
        sum(
            case
                when stretch.phase = 'recovery' then stretch.usd
                when stretch.phase = 'run' and stretch.is_interrupted then stretch.usd - stretch.launch_usd
                else 0
            end
        ) as lost_usd,
        sum(stretch.usd) as usd
    from stretch
    group by stretch.experiment_id, stretch.job_id, stretch.job_key, stretch.task_id
),

-- The whole job counts as failed if one of its tasks failed, as in wasted_usd of view cycle_cost.
whole as (
    select
        job.experiment_id,
        job.job_id,
        job.job_key,
        bool_or(job.is_failed or job.state = 'lost') as is_failed,
        bool_or(job.state = 'cancelled') as is_cancelled
    from job
    group by job.experiment_id, job.job_id, job.job_key
),

task as (
    select
        job.experiment_id,
        job.cycle,
        case
            when whole.is_failed then 'failed'
            when whole.is_cancelled then 'cancelled'
            else 'useful'
        end as result,
        job.cost_usd,
        job.machine_s,
        if(whole.is_failed or whole.is_cancelled, 0, coalesce(spent.setup_s, 0)) as setup_s,
        if(whole.is_failed or whole.is_cancelled, 0, coalesce(spent.lost_s, 0)) as lost_s,
        cast(
            if(
                whole.is_failed or whole.is_cancelled or coalesce(spent.usd, 0) = 0,
                0,
                cast(job.cost_usd as double) * spent.setup_usd / spent.usd
            ) as decimal(18, 4)
        ) as setup_usd,
        cast(
            if(
                whole.is_failed or whole.is_cancelled or coalesce(spent.usd, 0) = 0,
                0,
                cast(job.cost_usd as double) * spent.lost_usd / spent.usd
            ) as decimal(18, 4)
        ) as lost_usd
    from job
    inner join whole on job.experiment_id = whole.experiment_id and job.job_key = whole.job_key
    left join spent
        on
            job.experiment_id = spent.experiment_id
            and job.job_key = spent.job_key
            and job.task_id = spent.task_id
),

part as (
    select
        task.experiment_id,
        task.cycle,
        task.result as purpose,
        task.machine_s - task.setup_s - task.lost_s as machine_s,
        task.cost_usd - if(task.cost_usd is null, 0, task.setup_usd + task.lost_usd) as cost_usd,
        task.cost_usd is null as is_unpriced
    from task
    union all
    select
        task.experiment_id,
        task.cycle,
        'setup' as purpose,
        task.setup_s as machine_s,
        task.setup_usd as cost_usd,
        task.cost_usd is null as is_unpriced
    from task
    where task.setup_s > 0
    union all
    select
        task.experiment_id,
        task.cycle,
        'lost_to_preemption' as purpose,
        task.lost_s as machine_s,
        task.lost_usd as cost_usd,
        task.cost_usd is null as is_unpriced
    from task
    where task.lost_s > 0
),

-- From the first submission of the cycle to its last end; the controller also runs other experiments' jobs.
controlled as (
    select
        job.experiment_id,
        job.cycle,
        min(least(job.submitted_at, job.first_seen_at)) as started_at,
        max(if(job.is_terminal, coalesce(job.end_at, job.detected_at), job.last_seen_at)) as ended_at
    from job
    group by job.experiment_id, job.cycle
)

select
    part.experiment_id,
    part.purpose,
    part.cycle,
    count(*) filter (where part.is_unpriced) as unpriced_count,
    coalesce(sum(part.machine_s), 0) / 3600 as machine_h,
    cast(sum(part.cost_usd) as decimal(18, 4)) as cost_usd
from part
group by part.experiment_id, part.purpose, part.cycle
union all
select
    controlled.experiment_id,
    'controller' as purpose,
    controlled.cycle,
    0 as unpriced_count,
    greatest(0, epoch(controlled.ended_at) - epoch(controlled.started_at)) / 3600 as machine_h,
    cast(
        greatest(0, epoch(controlled.ended_at) - epoch(controlled.started_at)) / 3600
        * manifest.controller_usd_per_h as decimal(18, 4)
    ) as cost_usd
from controlled
inner join manifest on controlled.experiment_id = manifest.experiment_id
where manifest.controller_usd_per_h is not null;

comment on view cost_breakdown is
'What the cost of a cycle was spent on; grain: experiment_id, cycle, purpose';
comment on column cost_breakdown.experiment_id is 'the experiment [id]';
comment on column cost_breakdown.purpose is
'useful, setup, lost_to_preemption, failed, cancelled, or controller (if the config has its price) [name]';
comment on column cost_breakdown.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column cost_breakdown.unpriced_count is 'job tasks whose cost is unknown [count]';
comment on column cost_breakdown.machine_h is 'known time with a machine [h]';
comment on column cost_breakdown.cost_usd is 'known cost; null = no cost is known [USD]';
