-- Each root cause in each cycle: the attempts that failed with it and their cost, how many of their
-- conditions have succeeded since, and the fixes recorded for it. Unlike view cause it includes recovered
-- conditions.
create or replace view cause_cycle as
with good as (
    select
        attempt_result.experiment_id,
        attempt_result.condition_id
    from attempt_result
    where attempt_result.is_newest and not attempt_result.is_failed
),

fixed as (
    select
        fix_record.experiment_id,
        fix_record.root_cause_id,
        fix_record.cycle,
        list(fix_record.what order by fix_record.fixed_at, fix_record.event_position)
        filter (where not fix_record.is_without_fix)
            as fixes,
        list(fix_record.what order by fix_record.fixed_at, fix_record.event_position)
        filter (where fix_record.is_without_fix)
            as no_fix_reasons
    from fix_record
    group by fix_record.experiment_id, fix_record.root_cause_id, fix_record.cycle
)

select
    failure.experiment_id,
    failure.root_cause_id,
    failure.category,
    -- Taken from the most certain failure, as in view cause.
    arg_min(failure.remedy, row(-failure.confidence, failure.failed_at, failure.job_key)) as remedy,
    arg_min(failure.root_cause, row(-failure.confidence, failure.failed_at, failure.job_key)) as root_cause,
    coalesce(any_value(fixed.fixes), []) as fixes,
    coalesce(any_value(fixed.no_fix_reasons), []) as no_fix_reasons,
    failure.cycle,
    count(*) as attempt_count,
    count(distinct failure.condition_id) as condition_count,
    count(distinct good.condition_id) as recovered_count,
    count(*) filter (where failure.cost_usd is null) as unpriced_count,
    median(failure.detection_latency_s) as detection_latency_s,
    cast(sum(failure.cost_usd) as decimal(18, 4)) as wasted_usd,
    min(failure.failed_at) as first_failed_at,
    max(failure.failed_at) as last_failed_at
from failure
left join good
    on failure.experiment_id = good.experiment_id and failure.condition_id = good.condition_id
left join fixed
    on
        failure.experiment_id = fixed.experiment_id
        and failure.root_cause_id = fixed.root_cause_id
        and failure.cycle = fixed.cycle
group by failure.experiment_id, failure.root_cause_id, failure.category, failure.cycle;

comment on view cause_cycle is 'A root cause in a cycle; grain: experiment_id, root_cause_id, cycle';
comment on column cause_cycle.experiment_id is 'the experiment [id]';
comment on column cause_cycle.root_cause_id is
'the root cause; unknown/unexamined = not examined yet [id]';
comment on column cause_cycle.category is 'its category [name]';
comment on column cause_cycle.remedy is
'auto, config, code or unrecoverable (needs a person); null = not examined yet [name]';
comment on column cause_cycle.root_cause is
'the cause in one sentence, from its most certain failure [text]';
comment on column cause_cycle.fixes is
'fixes recorded in this cycle, oldest first [text]';
comment on column cause_cycle.no_fix_reasons is
'reasons recorded in this cycle for a relaunch without a fix, oldest first [text]';
comment on column cause_cycle.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column cause_cycle.attempt_count is 'attempts of the cycle that failed with it [count]';
comment on column cause_cycle.condition_count is 'their conditions [count]';
comment on column cause_cycle.recovered_count is
'those of these conditions whose newest result is a success [count]';
comment on column cause_cycle.unpriced_count is 'attempts whose cost is unknown [count]';
comment on column cause_cycle.detection_latency_s is
'median time from a failure to the first poll that showed it [s]';
comment on column cause_cycle.wasted_usd is 'known cost of the attempts; null = no cost is known [USD]';
comment on column cause_cycle.first_failed_at is 'the first conditions that failed [UTC]';
comment on column cause_cycle.last_failed_at is 'the last conditions that failed [UTC]';
