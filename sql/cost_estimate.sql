-- The estimated cost of one more job of a condition. If the config has an expected time, it is that time at
-- the price of the newest machine; otherwise the average cost of succeeded jobs, otherwise of all ended
-- jobs.
create or replace view cost_estimate as
with priced as (
    select
        job.experiment_id,
        job.condition_id,
        job.job_id,
        job.job_key,
        sum(job.cost_usd) as cost_usd,
        arg_max(job.price_usd_per_h, job.cycle) as price_usd_per_h,
        bool_and(job.state = 'succeeded') as has_succeeded
    from job
    where job.is_terminal and job.cost_usd is not null
    group by job.experiment_id, job.condition_id, job.job_id, job.job_key
),

typical as (
    select
        priced.experiment_id,
        avg(priced.cost_usd) filter (where priced.has_succeeded) as succeeded_usd,
        avg(priced.cost_usd) as any_usd
    from priced
    group by priced.experiment_id
)

select
    entry.experiment_id,
    entry.condition_id,
    cast(
        coalesce(
            entry.expected_s / 3600 * max(priced.price_usd_per_h),
            any_value(typical.succeeded_usd),
            any_value(typical.any_usd)
        ) as decimal(18, 4)
    ) as estimate_usd
from entry
left join typical on entry.experiment_id = typical.experiment_id
left join priced
    on entry.experiment_id = priced.experiment_id and entry.condition_id = priced.condition_id
group by entry.experiment_id, entry.condition_id, entry.expected_s;

comment on view cost_estimate is
'The estimated cost of one more job of a condition; grain: experiment_id, condition_id';
comment on column cost_estimate.experiment_id is 'the experiment [id]';
comment on column cost_estimate.condition_id is 'the condition [id]';
comment on column cost_estimate.estimate_usd is
'expected time at its price, otherwise the average of succeeded jobs, otherwise of all; null = unknown [USD]';
