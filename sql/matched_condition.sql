-- Which conditions of two experiments are the same: from matched_condition('<before>', '<after>'). A cell is
-- a combination of levels of the factors that both have. A factor that only one of them has is projected
-- out, so one side of a cell may hold several conditions. A baseline is compared only with baselines, and
-- experiments without a common factor have nothing in common.
create or replace macro matched_condition(before, after) as table
    with common as (
        select
            condition_level.factor,
            min(factor_level.factor_number) as factor_number
        from condition_level
        left join factor_level
            on factor_level.experiment_id = before and condition_level.factor = factor_level.factor
        where condition_level.experiment_id in (before, after)
        group by condition_level.factor
        having
            bool_or(condition_level.experiment_id = before)
            and bool_or(condition_level.experiment_id = after)
    ),

    listed as (
        select list(common.factor order by common.factor_number, common.factor) as factors
        from common
    ),

    celled as (
        select
            condition.experiment_id = before as is_before,
            condition.experiment_id = after as is_after,
            condition.condition_id,
            condition.kind,
            condition.state,
            condition.category,
            condition.manifest_position,
            coalesce(
                list_filter(
                    list_transform(
                        listed.factors,
                        lambda factor: struct_pack(
                            key := factor,
                            value := condition.factors[factor],
                            -- The text "0.1" and the number 0.1 are different levels.
                            is_text := json_type(
                                entry.levels, '/' || replace(replace(factor, '~', '~0'), '/', '~1')
                            ) is not distinct from 'VARCHAR'
                        )
                    ),
                    lambda pair: pair.value is not null
                ),
                []
            ) as pairs
        from condition
        inner join entry
            on
                condition.experiment_id = entry.experiment_id
                and condition.condition_id = entry.condition_id
        cross join listed
        where condition.experiment_id in (before, after)
    ),

    joined as (
        select
            celled.kind,
            celled.pairs,
            min(celled.state) filter (where celled.is_before) as before_state,
            max(celled.state) filter (where celled.is_before) as before_other_state,
            min(celled.state) filter (where celled.is_after) as after_state,
            max(celled.state) filter (where celled.is_after) as after_other_state,
            list(celled.condition_id order by celled.manifest_position) filter (where celled.is_before)
                as before_condition_ids,
            list(celled.condition_id order by celled.manifest_position) filter (where celled.is_after)
                as after_condition_ids,
            list(distinct celled.category) filter (where celled.is_before and celled.category is not null)
                as before_categories,
            list(distinct celled.category) filter (where celled.is_after and celled.category is not null)
                as after_categories,
            min(celled.manifest_position) filter (where celled.is_before) as before_number,
            min(celled.manifest_position) as any_number,
            count(*) filter (where celled.is_before) as before_condition_count,
            count(*) filter (where celled.is_after) as after_condition_count,
            count(*) filter (where celled.is_before and celled.state = 'succeeded') as before_succeeded_count,
            count(*) filter (where celled.is_after and celled.state = 'succeeded') as after_succeeded_count,
            count(*) filter (where celled.is_before and celled.state = 'failed') as before_failed_count,
            count(*) filter (where celled.is_after and celled.state = 'failed') as after_failed_count
        from celled
        -- Having no common factor does not make conditions the same.
        group by celled.kind, celled.pairs, case when len(celled.pairs) = 0 then celled.is_before end
    )

    select
        after as experiment_id,
        before as before_experiment_id,
        joined.kind,
        case
            when joined.after_condition_count = 0 then 'before'
            when joined.before_condition_count = 0 then 'after'
            else 'both'
        end as side,
        map_from_entries(
            list_transform(joined.pairs, lambda pair: struct_pack(key := pair.key, value := pair.value))
        ) as cell,
        case
            when joined.before_state <> joined.before_other_state then 'mixed' else joined.before_state
        end as before_state,
        case
            when joined.after_state <> joined.after_other_state then 'mixed' else joined.after_state
        end as after_state,
        coalesce(joined.before_condition_ids, []) as before_condition_ids,
        coalesce(joined.after_condition_ids, []) as after_condition_ids,
        coalesce(list_sort(joined.before_categories), []) as before_categories,
        coalesce(list_sort(joined.after_categories), []) as after_categories,
        coalesce(joined.before_number, joined.any_number) as manifest_position,
        joined.before_condition_count,
        joined.after_condition_count,
        joined.before_succeeded_count,
        joined.after_succeeded_count,
        joined.before_failed_count,
        joined.after_failed_count
    from joined;

comment on macro table matched_condition is -- noqa: PRS
'The same cell in two experiments, or in one of them; grain: experiment_id, before_experiment_id, side, kind, cell
experiment_id: the later experiment [id]
before_experiment_id: the earlier experiment that it is compared with [id]
kind: grid or baseline [name]
side: both, or the one that has the cell: before or after [name]
cell: factor -> level of the factors that both experiments have [text]
before_state: state of its conditions before, see view condition; mixed = they differ; null = none [name]
after_state: the same for the later experiment [name]
before_condition_ids: its conditions before [id]
after_condition_ids: its conditions after [id]
before_categories: root cause categories of those that failed before [name]
after_categories: root cause categories of those that failed after [name]
manifest_position: position of its first condition in the manifest of before, otherwise of after [count]
before_condition_count: its conditions before [count]
after_condition_count: its conditions after [count]
before_succeeded_count: conditions that succeeded before [count]
after_succeeded_count: conditions that succeeded after [count]
before_failed_count: conditions that failed before [count]
after_failed_count: conditions that failed after [count]';
