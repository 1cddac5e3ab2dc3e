-- Root causes where two factors meet: from cause_matrix('<experiment_id>', 'model_family', 'loss_name').
-- A cell without failures has no row. As in failure_cluster a condition counts once, with its newest verdict.
create or replace macro cause_matrix(experiment, row_factor, column_factor) as table
    select
        verdict.experiment_id,
        row_side.level as row_level,
        column_side.level as column_level,
        verdict.root_cause_id,
        verdict.category,
        count(*) as failed_count
    from verdict
    inner join condition_level as row_side
        on
            verdict.experiment_id = row_side.experiment_id
            and verdict.condition_id = row_side.condition_id
            and row_side.factor = row_factor
    inner join condition_level as column_side
        on
            verdict.experiment_id = column_side.experiment_id
            and verdict.condition_id = column_side.condition_id
            and column_side.factor = column_factor
    where verdict.experiment_id = experiment and verdict.is_newest and verdict.is_failed
    group by all;

comment on macro table cause_matrix is -- noqa: PRS
'A root cause at a pair of levels of two factors; grain: experiment_id, row_level, column_level, root_cause_id
experiment_id: the experiment [id]
row_level: level of the row factor as text [text]
column_level: level of the column factor as text [text]
root_cause_id: what failures of one root cause share [id]
category: its category [name]
failed_count: conditions with both levels whose newest verdict is that they failed of it [count]';
