-- Progress of each level of each factor; expected_count is the sum of the counts by state.
create or replace view coverage as
select
    condition_level.experiment_id,
    condition_level.factor,
    condition_level.level,
    factor_level.factor_number,
    factor_level.level_number,
    any_value(condition_level.is_text) as is_text,
    count(*) as expected_count,
    count(*) filter (where condition.state = 'succeeded') as succeeded_count,
    count(*) filter (where condition.state = 'failed') as failed_count,
    count(*) filter (where condition.state = 'cancelled') as cancelled_count,
    count(*) filter (where condition.state = 'running') as running_count,
    count(*) filter (where condition.state = 'pending') as pending_count,
    count(*) filter (where condition.state = 'lost') as lost_count,
    count(*) filter (where condition.state = 'missing') as missing_count,
    count(*) filter (
        where
        condition.state in ('pending', 'running')
        or (condition.state = 'lost' and not condition.is_terminal)
    ) as open_count,
    cast(sum(condition.unpriced_count) as bigint) as unpriced_count,
    cast(sum(condition.cost_usd) as decimal(18, 4)) as cost_usd,
    cast(sum(condition.wasted_usd) as decimal(18, 4)) as wasted_usd
from condition_level
inner join condition
    on
        condition_level.experiment_id = condition.experiment_id
        and condition_level.condition_id = condition.condition_id
left join factor_level
    on
        condition_level.experiment_id = factor_level.experiment_id
        and condition_level.factor = factor_level.factor
        and condition_level.level = factor_level.level
group by all;

comment on view coverage is
'Progress of a factor level, over all conditions; grain: experiment_id, factor, level';
comment on column coverage.experiment_id is 'the experiment [id]';
comment on column coverage.factor is 'the factor [name]';
comment on column coverage.level is 'the value of the level as text [text]';
comment on column coverage.factor_number is
'position of the factor in the config; null = only in baselines [count]';
comment on column coverage.level_number is
'position of the level in the config; null = only in baselines [count]';
comment on column coverage.is_text is 'the level is text in the config, see condition_level [bool]';
comment on column coverage.expected_count is 'conditions with this level [count]';
comment on column coverage.succeeded_count is 'conditions that succeeded [count]';
comment on column coverage.failed_count is 'conditions that failed [count]';
comment on column coverage.cancelled_count is 'cancelled conditions [count]';
comment on column coverage.running_count is 'running conditions [count]';
comment on column coverage.pending_count is 'pending conditions [count]';
comment on column coverage.lost_count is 'lost conditions [count]';
comment on column coverage.missing_count is 'conditions never launched [count]';
comment on column coverage.open_count is
'conditions that are pending, running, or lost and not closed by a person [count]';
comment on column coverage.unpriced_count is 'jobs whose cost is unknown [count]';
comment on column coverage.cost_usd is 'known cost of their jobs; null = no cost is known [USD]';
comment on column coverage.wasted_usd is
'part of cost_usd: the cost of failed attempts; null = no cost is known [USD]';
