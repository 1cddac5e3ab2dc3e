-- How much longer an experiment may take, and how that was estimated. The time of a condition is the median
-- of the succeeded conditions with the same level of the factor that best explains the run times (adjusted R
-- squared: a factor with a different level for each job explains nothing). If no factor explains anything,
-- it is the median of all; if none has succeeded yet, the expected time of the config. The open conditions
-- run with as many jobs at a time as now, and not faster than the longest of them. A job past its estimated
-- end is overdue: its end is unknown, so it has no remaining time. Jobs that succeeded but overran are left
-- out: something went wrong, so they do not show how long the others take.
create or replace view eta as
with finished as (
    select
        condition.experiment_id,
        condition.condition_id,
        condition.run_s
    from condition
    inner join experiment on condition.experiment_id = experiment.experiment_id
    where
        condition.state = 'succeeded'
        and condition.run_s is not null
        and not coalesce(condition.run_s > experiment.overrun_factor * condition.expected_s, false)
),

by_level as (
    select
        finished.experiment_id,
        condition_level.factor,
        condition_level.level,
        count(*) as level_count,
        median(finished.run_s) as median_s,
        var_pop(finished.run_s) * count(*) as within
    from finished
    inner join condition_level
        on
            finished.experiment_id = condition_level.experiment_id
            and finished.condition_id = condition_level.condition_id
    group by finished.experiment_id, condition_level.factor, condition_level.level
),

whole as (
    select
        finished.experiment_id,
        count(*) as finished_count,
        median(finished.run_s) as median_s,
        var_samp(finished.run_s) as spread
    from finished
    group by finished.experiment_id
),

-- Variance within the levels of a factor, per degree of freedom, if it is below the overall variance.
explaining as (
    select
        by_level.experiment_id,
        by_level.factor,
        sum(by_level.within) / (whole.finished_count - count(*)) as within
    from by_level
    inner join whole on by_level.experiment_id = whole.experiment_id
    group by by_level.experiment_id, by_level.factor, whole.finished_count, whole.spread
    having
        sum(by_level.level_count) = whole.finished_count
        and whole.finished_count > count(*)
        and sum(by_level.within) / (whole.finished_count - count(*)) < whole.spread
),

best as (
    select
        explaining.experiment_id,
        arg_min(explaining.factor, row(explaining.within, explaining.factor)) as factor
    from explaining
    group by explaining.experiment_id
),

guess as (
    select
        condition.experiment_id,
        condition.state,
        condition.run_s,
        best.factor,
        coalesce(
            case when best.factor is null then whole.median_s else by_level.median_s end, condition.expected_s
        ) as estimate_s,
        case
            when by_level.median_s is not null then 'level'
            when best.factor is null and whole.median_s is not null then 'all'
            else 'config'
        end as rule
    from condition
    left join whole on condition.experiment_id = whole.experiment_id
    left join best on condition.experiment_id = best.experiment_id
    left join condition_level
        on
            condition.experiment_id = condition_level.experiment_id
            and condition.condition_id = condition_level.condition_id
            and best.factor = condition_level.factor
    left join by_level
        on
            condition_level.experiment_id = by_level.experiment_id
            and condition_level.factor = by_level.factor
            and condition_level.level = by_level.level
    where condition.state in ('running', 'pending')
),

remaining as (
    select
        guess.experiment_id,
        guess.state,
        guess.factor,
        guess.rule,
        case
            when guess.run_s is null or guess.run_s < guess.estimate_s
                then guess.estimate_s - coalesce(guess.run_s, 0)
        end as remaining_s,
        case when guess.run_s >= guess.estimate_s then guess.run_s - guess.estimate_s end as overdue_s
    from guess
)

select
    remaining.experiment_id,
    any_value(remaining.factor) filter (where remaining.rule = 'level') as factor,
    bool_or(remaining.rule = 'all') as is_of_all,
    bool_or(
        remaining.rule = 'config' and coalesce(remaining.remaining_s, remaining.overdue_s) is not null
    ) as is_expected,
    count(*) filter (where remaining.state = 'running') as running_count,
    count(*) filter (where remaining.remaining_s is null and remaining.overdue_s is null) as unknown_count,
    count(remaining.overdue_s) as overdue_count,
    greatest(
        max(remaining.remaining_s),
        sum(remaining.remaining_s) / nullif(count(*) filter (where remaining.state = 'running'), 0)
    ) as remaining_s,
    max(remaining.overdue_s) as overdue_s
from remaining
group by remaining.experiment_id;

comment on view eta is
'The remaining time of the pending and running conditions; no row if there are none; grain: experiment_id';
comment on column eta.experiment_id is 'the experiment [id]';
comment on column eta.factor is
'factor whose levels the estimates are based on: medians of succeeded conditions; null = none [name]';
comment on column eta.is_of_all is 'the estimates are the median of all succeeded conditions [bool]';
comment on column eta.is_expected is 'some estimates are the expected times of the config [bool]';
comment on column eta.running_count is 'running conditions, the assumed number of parallel jobs [count]';
comment on column eta.unknown_count is 'open conditions without an estimate, which are left out [count]';
comment on column eta.overdue_count is
'running conditions past their estimated end, left out of remaining_s [count]';
comment on column eta.remaining_s is
'estimated time until the others end; null = unknown, or no others; if none runs, queueing is ignored [s]';
comment on column eta.overdue_s is
'time since the estimated end of the most overdue condition; null = none is overdue [s]';
