-- Coverage of two experiments side by side: from coverage_change('<before>', '<after>').
-- Levels that only one of them has are included, with 0 for the other.
create or replace macro coverage_change(before, after) as table
    with sided as (
        select
            coverage.factor,
            coverage.level,
            coverage.is_text,
            coverage.experiment_id = before as is_before,
            coverage.experiment_id = after as is_after,
            coverage.expected_count,
            coverage.succeeded_count,
            coverage.failed_count,
            coverage.factor_number,
            coverage.level_number
        from coverage
        where coverage.experiment_id in (before, after)
    ),

    joined as (
        select
            sided.factor,
            sided.level,
            sided.is_text,
            bool_or(sided.is_before) as is_before,
            bool_or(sided.is_after) as is_after,
            sum(sided.expected_count) filter (where sided.is_before) as before_expected_count,
            sum(sided.expected_count) filter (where sided.is_after) as after_expected_count,
            sum(sided.succeeded_count) filter (where sided.is_before) as before_succeeded_count,
            sum(sided.succeeded_count) filter (where sided.is_after) as after_succeeded_count,
            sum(sided.failed_count) filter (where sided.is_before) as before_failed_count,
            sum(sided.failed_count) filter (where sided.is_after) as after_failed_count,
            arg_max((sided.factor_number, sided.level_number), sided.is_before) as place
        from sided
        -- The text "0.1" and the number 0.1 are different levels.
        group by sided.factor, sided.level, sided.is_text
    ),

    factored as (
        select
            joined.factor,
            bool_or(joined.is_before) as is_before,
            bool_or(joined.is_after) as is_after,
            arg_max(joined.place[1], joined.is_before) as factor_number
        from joined
        group by joined.factor
    )

    select
        after as experiment_id,
        before as before_experiment_id,
        joined.factor,
        joined.level,
        joined.is_text,
        factored.is_before and factored.is_after as is_shared,
        row_number() over (
            order by
                not factored.is_before,
                factored.factor_number,
                joined.factor,
                not joined.is_before,
                joined.place[2],
                joined.level,
                joined.is_text
        ) as level_number,
        cast(coalesce(joined.before_expected_count, 0) as bigint) as before_expected_count,
        cast(coalesce(joined.after_expected_count, 0) as bigint) as after_expected_count,
        cast(coalesce(joined.before_succeeded_count, 0) as bigint) as before_succeeded_count,
        cast(coalesce(joined.after_succeeded_count, 0) as bigint) as after_succeeded_count,
        cast(coalesce(joined.before_failed_count, 0) as bigint) as before_failed_count,
        cast(coalesce(joined.after_failed_count, 0) as bigint) as after_failed_count
    from joined
    inner join factored on joined.factor = factored.factor;

comment on macro table coverage_change is -- noqa: PRS
'Coverage of a factor level in two experiments; grain: experiment_id, before_experiment_id, factor, level, is_text
experiment_id: the later experiment [id]
before_experiment_id: the earlier experiment that it is compared with [id]
factor: the factor [name]
level: the value of the level as text [text]
is_text: the level is text in the config, see view condition_level [bool]
is_shared: both experiments have the factor; false = it is projected out when conditions are matched [bool]
level_number: order of the row: factors and levels as in the config before, then those only after [count]
before_expected_count: conditions of the level before; 0 = it does not exist [count]
after_expected_count: conditions of the level after; 0 = it does not exist [count]
before_succeeded_count: conditions that succeeded before [count]
after_succeeded_count: conditions that succeeded after [count]
before_failed_count: conditions that failed before [count]
after_failed_count: conditions that failed after [count]';
