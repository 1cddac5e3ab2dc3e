-- The factors of every condition, one row each: the long form that coverage counts over.
create or replace view condition_level as
select
    entry.experiment_id,
    entry.condition_id,
    pair.entry.key as factor,
    pair.entry.value as level
from entry
cross join unnest(map_entries(entry.factors)) as pair (entry);

comment on view condition_level is
'A factor of a condition; grain: experiment_id, condition_id, factor';
comment on column condition_level.experiment_id is 'the experiment [id]';
comment on column condition_level.condition_id is 'the condition [id]';
comment on column condition_level.factor is 'the factor [name]';
comment on column condition_level.level is 'its level as text; booleans are true and false [text]';
