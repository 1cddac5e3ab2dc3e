-- How long each job task had a machine, including launches, setup and recoveries, and what that cost at the
-- price of each machine.
create or replace view machine_time as
with summed as (
    select
        machine_spell.experiment_id,
        machine_spell.job_id,
        machine_spell.job_key,
        machine_spell.task_id,
        bool_or(machine_spell.machine_s is null) as is_unknown,
        bool_or(machine_spell.machine_s > 0 and machine_spell.price_usd_per_h is null) as is_unpriced,
        sum(cast(round(machine_spell.machine_s * 1000000) as hugeint)) as machine_us,
        -- Exact: millionths of a dollar per hour times microseconds. No time costs 0 at any price.
        coalesce(
            sum(
                cast(round(machine_spell.price_usd_per_h * 1000000) as hugeint)
                * cast(round(machine_spell.machine_s * 1000000) as hugeint)
            ),
            0
        ) as product,
        last(machine_spell.price_usd_per_h order by machine_spell.poll_id) as price_usd_per_h
    from machine_spell
    group by machine_spell.experiment_id, machine_spell.job_id, machine_spell.job_key, machine_spell.task_id
)

select
    job_observation.experiment_id,
    job_observation.job_id,
    job_observation.job_key,
    job_observation.task_id,
    case
        when summed.experiment_id is null then 0
        when not summed.is_unknown then cast(summed.machine_us as double) / 1e6
    end as machine_s,
    case
        when summed.experiment_id is null then job_observation.price_usd_per_h
        else summed.price_usd_per_h
    end as price_usd_per_h,
    -- Rounded half up once, to 1/10000 USD.
    case
        when summed.experiment_id is null then 0
        when not summed.is_unknown and not coalesce(summed.is_unpriced, false)
            then
                cast(
                    cast((summed.product + 180000000000) // 360000000000 as decimal(18, 0)) * 0.0001
                    as decimal(18, 4)
                )
    end as estimate_usd
from job_observation
left join summed
    on
        job_observation.experiment_id = summed.experiment_id
        and job_observation.job_key = summed.job_key
        and job_observation.task_id = summed.task_id
where job_observation.is_newest;

comment on view machine_time is
'The machine time of a job task and its cost; grain: experiment_id, job_key, task_id';
comment on column machine_time.experiment_id is 'the experiment [id]';
comment on column machine_time.job_id is 'SkyPilot''s managed job [id]';
comment on column machine_time.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column machine_time.task_id is 'task within the job [id]';
comment on column machine_time.machine_s is
'time with a machine so far, see view machine_spell; null = unknown [s]';
comment on column machine_time.price_usd_per_h is
'price of its newest machine; null = unknown [USD/h]';
comment on column machine_time.estimate_usd is
'fmon''s own estimate: each spell at the price of its machine; null = a time or a price is unknown [USD]';
