-- The factor levels that explain the causes of two experiments: from suspect_change('<before>', '<after>').
create or replace macro suspect_change(before, after) as table
    with sided as (
        select
            suspect.experiment_id = before as is_before,
            suspect.experiment_id = after as is_after,
            suspect.root_cause_id,
            suspect.category,
            list_sort(map_entries(suspect.combination)) as pairs,
            suspect.statement,
            suspect.failed_count,
            suspect.total_count,
            suspect.p_holm
        from suspect
        where suspect.experiment_id in (before, after)
    )

    select
        after as experiment_id,
        before as before_experiment_id,
        sided.root_cause_id,
        sided.category,
        case
            when bool_or(sided.is_before) and bool_or(sided.is_after) then 'both'
            when bool_or(sided.is_before) then 'before'
            else 'after'
        end as side,
        map_from_entries(sided.pairs) as combination,
        min(sided.statement) filter (where sided.is_before) as before_statement,
        min(sided.statement) filter (where sided.is_after) as after_statement,
        coalesce(min(sided.failed_count) filter (where sided.is_before), 0) as before_failed_count,
        coalesce(min(sided.failed_count) filter (where sided.is_after), 0) as after_failed_count,
        coalesce(min(sided.total_count) filter (where sided.is_before), 0) as before_total_count,
        coalesce(min(sided.total_count) filter (where sided.is_after), 0) as after_total_count,
        min(sided.p_holm) filter (where sided.is_before) as before_p_holm,
        min(sided.p_holm) filter (where sided.is_after) as after_p_holm
    from sided
    group by sided.root_cause_id, sided.category, sided.pairs;

comment on macro table suspect_change is -- noqa: PRS
'A combination that explains a cause in one or both of two experiments; grain: experiment_id, before_experiment_id, root_cause_id, combination
experiment_id: the later experiment [id]
before_experiment_id: the earlier experiment that it is compared with [id]
root_cause_id: the root cause [id]
category: its category [name]
side: suspect in both, or only before or after [name]
combination: factor -> level, by factor; empty = every condition failed with it [text]
before_statement: its statement in view suspect before; null = no suspect [text]
after_statement: its statement in view suspect after; null = no suspect [text]
before_failed_count: conditions of the combination that failed with the cause before; 0 = no suspect [count]
after_failed_count: conditions of the combination that failed with the cause after; 0 = no suspect [count]
before_total_count: conditions of the combination with a result before; 0 = no suspect [count]
after_total_count: conditions of the combination with a result after; 0 = no suspect [count]
before_p_holm: p before, with Holm''s correction over all combinations of the cause; null = no suspect [ratio]
after_p_holm: the same for the later experiment [ratio]';
