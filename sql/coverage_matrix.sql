-- Two factors against each other: from coverage_matrix('<experiment_id>', 'model_family', 'loss_name').
-- A cell that no condition has (excluded, or a baseline without the factor) has no row.
create or replace macro coverage_matrix(experiment, row_factor, column_factor) as table
    select
        condition.experiment_id,
        row_side.level as row_level,
        column_side.level as column_level,
        row_order.level_number as row_number,
        column_order.level_number as column_number,
        count(*) as expected_count,
        count(*) filter (where condition.state = 'succeeded') as succeeded_count,
        count(*) filter (where condition.state = 'failed') as failed_count,
        count(*) filter (where condition.state = 'cancelled') as cancelled_count,
        count(*) filter (where condition.state = 'running') as running_count,
        count(*) filter (where condition.state = 'pending') as pending_count,
        count(*) filter (where condition.state = 'lost') as lost_count,
        count(*) filter (where condition.state = 'missing') as missing_count,
        cast(sum(condition.unpriced_count) as bigint) as unpriced_count,
        median(condition.run_s) as median_run_s,
        cast(sum(condition.cost_usd) as decimal(18, 4)) as cost_usd,
        cast(sum(condition.wasted_usd) as decimal(18, 4)) as wasted_usd
    from condition
    inner join condition_level as row_side
        on
            condition.experiment_id = row_side.experiment_id
            and condition.condition_id = row_side.condition_id
            and row_side.factor = row_factor
    inner join condition_level as column_side
        on
            condition.experiment_id = column_side.experiment_id
            and condition.condition_id = column_side.condition_id
            and column_side.factor = column_factor
    left join factor_level as row_order
        on
            row_side.experiment_id = row_order.experiment_id
            and row_side.factor = row_order.factor
            and row_side.level = row_order.level
    left join factor_level as column_order
        on
            column_side.experiment_id = column_order.experiment_id
            and column_side.factor = column_order.factor
            and column_side.level = column_order.level
    where condition.experiment_id = experiment
    group by all;

comment on macro table coverage_matrix is -- noqa: PRS
'Progress of a pair of levels of two factors; grain: experiment_id, row_level, column_level
experiment_id: the experiment [id]
row_level: level of the row factor as text [text]
column_level: level of the column factor as text [text]
row_number: position of the row level in the config; null = only in baselines [count]
column_number: position of the column level in the config; null = only in baselines [count]
expected_count: conditions with both levels [count]
succeeded_count: conditions that succeeded [count]
failed_count: conditions that failed [count]
cancelled_count: cancelled conditions [count]
running_count: running conditions [count]
pending_count: pending conditions [count]
lost_count: lost conditions [count]
missing_count: conditions never launched [count]
unpriced_count: jobs whose cost is unknown [count]
median_run_s: median run time of their newest attempts, so far if they still run; null = none has started [s]
cost_usd: known cost of all their jobs and cycles; null = no cost is known [USD]
wasted_usd: part of cost_usd: the cost of failed attempts; null = no cost is known [USD]';
