-- What changed between two experiments, condition by condition: from flip('<before>', '<after>').
-- Only a cell that both decided can flip: what is open, cancelled, lost or missing says nothing.
create or replace macro flip(before, after) as table
    select
        counterpart.experiment_id,
        counterpart.before_experiment_id,
        counterpart.kind,
        case when counterpart.after_failed_count > 0 then 'regressed' else 'recovered' end as flip,
        counterpart.cell,
        counterpart.before_state,
        counterpart.after_state,
        counterpart.before_condition_ids,
        counterpart.after_condition_ids,
        counterpart.before_categories,
        counterpart.after_categories,
        counterpart.entry_number
    from counterpart(before, after) as counterpart
    where
        counterpart.side = 'both'
        and (
            (
                counterpart.before_succeeded_count = counterpart.before_condition_count
                and counterpart.after_failed_count > 0
            )
            or (
                counterpart.before_failed_count > 0
                and counterpart.after_succeeded_count = counterpart.after_condition_count
            )
        );

comment on macro table flip is -- noqa: PRS
'A cell that succeeded in one experiment and failed in the other; grain: experiment_id, before_experiment_id, kind, cell
experiment_id: the later experiment [id]
before_experiment_id: the one that it is held against [id]
kind: grid or baseline [name]
flip: regressed (all its conditions succeeded, now some fail) or recovered (some failed, now all succeed) [name]
cell: factor -> level of the factors that both experiments have [text]
before_state: state of its conditions before, mixed = they differ [name]
after_state: the same of the later experiment [name]
before_condition_ids: its conditions before [id]
after_condition_ids: its conditions after [id]
before_categories: root cause categories of those that failed before [name]
after_categories: root cause categories of those that failed after [name]
entry_number: position of its first condition in the manifest of before [count]';
