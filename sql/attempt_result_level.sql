-- The possible reasons why a condition failed: its factor levels, and the region and zone that it ran in. A
-- factor with only one level among the results explains nothing and is left out. So is the image digest: a
-- manifest has only one, so it never differs within an experiment.
create or replace view attempt_result_level as
with newest as (
    select
        attempt_result.experiment_id,
        attempt_result.condition_id,
        attempt_result.root_cause_id,
        attempt_result.region,
        attempt_result.zone,
        row_number() over (
            order by attempt_result.experiment_id, attempt_result.condition_id
        ) as condition_number
    from attempt_result
    where attempt_result.is_newest
),

-- Joined after the numbering, because sorting with the maps takes three times as long.
factored as (
    select
        newest.experiment_id,
        newest.condition_id,
        newest.root_cause_id,
        newest.condition_number,
        -- If two have the same name, the factor of the config wins.
        list_concat(
            map_entries(entry.factors),
            [
                struct_pack(
                    key := 'region',
                    value := case when not map_contains(entry.factors, 'region') then newest.region end
                ),
                struct_pack(
                    key := 'zone',
                    value := case when not map_contains(entry.factors, 'zone') then newest.zone end
                )
            ]
        ) as factors
    from newest
    inner join entry
        on newest.experiment_id = entry.experiment_id and newest.condition_id = entry.condition_id
),

paired as (
    select
        factored.experiment_id,
        factored.condition_id,
        factored.root_cause_id,
        factored.condition_number,
        unnest(factored.factors) as pair
    from factored
),

levelled as (
    select
        paired.experiment_id,
        paired.condition_id,
        paired.root_cause_id,
        paired.pair.key as factor,
        paired.pair.value as level,
        paired.condition_number
    from paired
    where paired.pair.value is not null
),

-- Numbers instead of names, because the search counts millions of combinations.
item as (
    select
        levelled.experiment_id,
        levelled.factor,
        levelled.level,
        dense_rank() over (
            order by levelled.experiment_id, min(factor_level.factor_number), levelled.factor
        ) as factor_number,
        row_number() over (
            order by
                levelled.experiment_id, min(factor_level.factor_number), levelled.factor, levelled.level
        ) as level_number
    from (
        select distinct
            levelled.experiment_id,
            levelled.factor,
            levelled.level
        from levelled
    ) as levelled
    left join factor_level
        on levelled.experiment_id = factor_level.experiment_id and levelled.factor = factor_level.factor
    group by levelled.experiment_id, levelled.factor, levelled.level
    qualify count(*) over (partition by levelled.experiment_id, levelled.factor) > 1
)

select
    levelled.experiment_id,
    levelled.condition_id,
    levelled.root_cause_id,
    levelled.factor,
    levelled.level,
    levelled.condition_number,
    item.factor_number,
    item.level_number
from levelled
inner join item
    on
        levelled.experiment_id = item.experiment_id
        and levelled.factor = item.factor
        and levelled.level = item.level;

comment on view attempt_result_level is
'A factor level of a condition with its newest result; grain: experiment_id, condition_id, factor';
comment on column attempt_result_level.experiment_id is 'the experiment [id]';
comment on column attempt_result_level.condition_id is 'the condition [id]';
comment on column attempt_result_level.root_cause_id is
'the root cause of its failure; null = it succeeded [id]';
comment on column attempt_result_level.factor is 'the factor; region and zone count as factors [name]';
comment on column attempt_result_level.level is 'the level as text [text]';
comment on column attempt_result_level.condition_number is
'number of the condition, over all experiments [count]';
comment on column attempt_result_level.factor_number is
'number of the factor, over all experiments, in the order of the config [count]';
comment on column attempt_result_level.level_number is
'number of the level, over all factors, in that order [count]';
