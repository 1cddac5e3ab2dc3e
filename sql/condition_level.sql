-- The factors of every condition, one per row: the long form that coverage counts.
create or replace view condition_level as
with paired as (
    select
        entry.experiment_id,
        entry.condition_id,
        entry.levels,
        unnest(map_entries(entry.factors)) as pair
    from entry
)

select
    paired.experiment_id,
    paired.condition_id,
    paired.pair.key as factor,
    paired.pair.value as level,
    -- A JSON pointer, because not every factor name is valid in a JSON path.
    coalesce(
        json_type(paired.levels, '/' || replace(replace(paired.pair.key, '~', '~0'), '/', '~1')) = 'VARCHAR',
        false
    ) as is_text
from paired;

comment on view condition_level is 'A factor of a condition; grain: experiment_id, condition_id, factor';
comment on column condition_level.experiment_id is 'the experiment [id]';
comment on column condition_level.condition_id is 'the condition [id]';
comment on column condition_level.factor is 'the factor [name]';
comment on column condition_level.level is
'the value of the level as text: equal numbers are the same, booleans are true and false [text]';
comment on column condition_level.is_text is
'the level is text in the config: "0.1" in quotes is not the number 0.1 [bool]';
