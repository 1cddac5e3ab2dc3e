-- How much two experiments have in common: from condition_overlap('<older id>', '<newer id>'). Macro
-- matched_condition lists the conditions of each cell.
create or replace macro condition_overlap(before, after) as table
    with cell as (
        select
            matched_condition.side = 'both' as is_matched,
            matched_condition.before_condition_count,
            matched_condition.after_condition_count
        from matched_condition(before, after) as matched_condition
    )

    select
        after as experiment_id,
        count(*) filter (where cell.is_matched) as matched_cell_count,
        cast(coalesce(sum(cell.before_condition_count), 0) as bigint) as before_condition_count,
        cast(coalesce(sum(cell.after_condition_count), 0) as bigint) as after_condition_count,
        cast(
            coalesce(sum(cell.before_condition_count) filter (where cell.is_matched), 0) as bigint
        ) as before_matched_count,
        cast(
            coalesce(sum(cell.after_condition_count) filter (where cell.is_matched), 0) as bigint
        ) as after_matched_count
    from cell
    having count(*) > 0;

comment on macro table condition_overlap is -- noqa: PRS
'The number of conditions that two experiments have in common; grain: experiment_id
experiment_id: the newer experiment [id]
matched_cell_count: cells of factor levels that both have [count]
before_condition_count: conditions of the older experiment [count]
after_condition_count: conditions of the newer experiment [count]
before_matched_count: conditions of the older experiment in cells that both have [count]
after_matched_count: conditions of the newer experiment in cells that both have [count]';
