-- Root causes by two factors: from cause_matrix('<experiment_id>', 'model_family', 'loss_name').
-- A cell without failures has no row. As in failure_cluster, a condition counts once, with its newest result.
create or replace macro cause_matrix(experiment, row_factor, column_factor) as table
    select
        attempt_result.experiment_id,
        row_side.level as row_level,
        column_side.level as column_level,
        attempt_result.root_cause_id,
        attempt_result.category,
        count(*) as failed_count
    from attempt_result
    inner join condition_level as row_side
        on
            attempt_result.experiment_id = row_side.experiment_id
            and attempt_result.condition_id = row_side.condition_id
            and row_side.factor = row_factor
    inner join condition_level as column_side
        on
            attempt_result.experiment_id = column_side.experiment_id
            and attempt_result.condition_id = column_side.condition_id
            and column_side.factor = column_factor
    where attempt_result.experiment_id = experiment and attempt_result.is_newest and attempt_result.is_failed
    group by all;

comment on macro table cause_matrix is -- noqa: PRS
'A root cause at a pair of levels of two factors; grain: experiment_id, row_level, column_level, root_cause_id
experiment_id: the experiment [id]
row_level: level of the row factor as text [text]
column_level: level of the column factor as text [text]
root_cause_id: the root cause [id]
category: its category [name]
failed_count: conditions with both levels whose newest result is a failure with this cause [count]';
