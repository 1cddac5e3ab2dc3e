-- Conditions that have levels of a suspect combination but did not fail. Those with all of its levels are
-- counter-evidence; those with some may be affected by a change made for the combination.
create or replace view bystander as
with blamed as (
    select
        suspect.experiment_id,
        suspect.root_cause_id,
        suspect.round,
        cardinality(suspect.combination) as level_count,
        unnest(map_entries(suspect.combination)) as pair
    from suspect
),

sharing as (
    select
        blamed.experiment_id,
        blamed.root_cause_id,
        blamed.round,
        blamed.level_count,
        attempt_result_level.condition_id,
        count(*) as shared_count
    from blamed
    inner join attempt_result_level
        on
            blamed.experiment_id = attempt_result_level.experiment_id
            and blamed.pair.key = attempt_result_level.factor
            and blamed.pair.value = attempt_result_level.level
    where attempt_result_level.root_cause_id is null
    group by
        blamed.experiment_id,
        blamed.root_cause_id,
        blamed.round,
        blamed.level_count,
        attempt_result_level.condition_id
)

select
    sharing.experiment_id,
    sharing.root_cause_id,
    coalesce(
        list(sharing.condition_id order by sharing.condition_id) filter (
            where sharing.shared_count = sharing.level_count
        ),
        []
    ) as same_condition_ids,
    coalesce(
        list(sharing.condition_id order by sharing.condition_id) filter (
            where sharing.shared_count < sharing.level_count
        ),
        []
    ) as near_condition_ids,
    sharing.round,
    count(*) filter (where sharing.shared_count = sharing.level_count) as same_count,
    count(*) filter (where sharing.shared_count < sharing.level_count) as near_count
from sharing
group by sharing.experiment_id, sharing.root_cause_id, sharing.round;

comment on view bystander is
'Succeeded conditions with levels of a suspect; grain: experiment_id, root_cause_id, round';
comment on column bystander.experiment_id is 'the experiment [id]';
comment on column bystander.root_cause_id is 'the root cause, see view suspect [id]';
comment on column bystander.same_condition_ids is 'conditions with all levels of the combination [id]';
comment on column bystander.near_condition_ids is 'conditions with some of its levels, not all [id]';
comment on column bystander.round is
'round of the search that found the suspect, see view suspect [count]';
comment on column bystander.same_count is 'conditions with all its levels [count]';
comment on column bystander.near_count is 'conditions with some of its levels, not all [count]';
