-- Changes between two experiments, condition by condition: from state_change('<before>', '<after>').
-- Only a cell with a result in both can change: open, cancelled, lost or missing conditions have none.
create or replace macro state_change(before, after) as table
    select
        matched_condition.experiment_id,
        matched_condition.before_experiment_id,
        matched_condition.kind,
        case when matched_condition.after_failed_count > 0 then 'regressed' else 'recovered' end as change,
        matched_condition.cell,
        matched_condition.before_state,
        matched_condition.after_state,
        matched_condition.before_condition_ids,
        matched_condition.after_condition_ids,
        matched_condition.before_categories,
        matched_condition.after_categories,
        matched_condition.manifest_position
    from matched_condition(before, after) as matched_condition
    where
        matched_condition.side = 'both'
        and (
            (
                matched_condition.before_succeeded_count = matched_condition.before_condition_count
                and matched_condition.after_failed_count > 0
            )
            or (
                matched_condition.before_failed_count > 0
                and matched_condition.after_succeeded_count = matched_condition.after_condition_count
            )
        );

comment on macro table state_change is -- noqa: PRS
'A cell that succeeded in one experiment and failed in the other; grain: experiment_id, before_experiment_id, kind, cell
experiment_id: the later experiment [id]
before_experiment_id: the earlier experiment that it is compared with [id]
kind: grid or baseline [name]
change: regressed (all its conditions succeeded, now some fail) or recovered (some failed, now all succeed) [name]
cell: factor -> level of the factors that both experiments have [text]
before_state: state of its conditions before, mixed = they differ [name]
after_state: the same for the later experiment [name]
before_condition_ids: its conditions before [id]
after_condition_ids: its conditions after [id]
before_categories: root cause categories of those that failed before [name]
after_categories: root cause categories of those that failed after [name]
manifest_position: position of its first condition in the manifest of before [count]';
