-- The explanation of a root cause, as text; view cause_level_association does the search. If every condition
-- with a result failed with the cause, it is universal: there is nothing to compare it with.
create or replace view suspect as
with newest as (
    select
        attempt_result.experiment_id,
        attempt_result.root_cause_id,
        attempt_result.category
    from attempt_result
    where attempt_result.is_newest
),

universal as (
    select
        newest.experiment_id,
        min(newest.root_cause_id) as root_cause_id,
        min(newest.category) as category,
        count(*) as total_count
    from newest
    group by newest.experiment_id
    having count(newest.root_cause_id) = count(*) and count(distinct newest.root_cause_id) = 1
),

listed as (
    select
        found.experiment_id,
        found.root_cause_id,
        found.category,
        found.combination,
        found.equivalents,
        found.round,
        found.failed_count,
        found.total_count,
        found.remaining_failed_count - found.failed_count as outside_failed_count,
        found.outside_other_count,
        found.remaining_total_count - found.total_count as outside_total_count,
        found.lift,
        found.p_value,
        found.p_holm
    from cause_level_association as found

    union all

    select
        universal.experiment_id,
        universal.root_cause_id,
        universal.category,
        map() as combination,
        [] as equivalents,
        1 as round,
        universal.total_count as failed_count,
        universal.total_count,
        0 as outside_failed_count,
        0 as outside_other_count,
        0 as outside_total_count,
        1 as lift,
        1 as p_value,
        1 as p_holm
    from universal
),

worded as (
    select
        listed.experiment_id,
        listed.root_cause_id,
        listed.category,
        listed.combination,
        listed.equivalents,
        listed.round,
        listed.failed_count,
        listed.total_count,
        listed.outside_failed_count,
        listed.outside_other_count,
        listed.outside_total_count,
        listed.lift,
        listed.p_value,
        listed.p_holm,
        listed.failed_count + listed.outside_failed_count as remaining_failed_count,
        array_to_string(
            list_transform(map_entries(listed.combination), lambda pair: pair.key || '=' || pair.value),
            ' and '
        ) as levels,
        array_to_string(
            list_transform(
                listed.equivalents,
                lambda equivalent: array_to_string(
                    list_transform(map_entries(equivalent), lambda pair: pair.key || '=' || pair.value),
                    ' and '
                )
            ),
            ', or '
        ) as other_levels
    from listed
),

explained as (
    select
        worded.experiment_id,
        worded.root_cause_id,
        worded.category,
        worded.combination,
        worded.equivalents,
        worded.levels,
        case
            when worded.levels = '' and worded.total_count = 1
                then 'the only condition with a result failed with this cause: nothing to compare it with'
            when worded.levels = ''
                then format(
                    'all {} conditions with a result failed with this cause: nothing to compare them with',
                    worded.total_count
                )
            else format(
                '{}{} {} ({} of {} there, {} of {} elsewhere)',
                case
                    when worded.remaining_failed_count = 1 then 'the only'
                    when worded.failed_count = worded.remaining_failed_count
                        then format('all {}', worded.remaining_failed_count)
                    else format('{} of {}', worded.failed_count, worded.remaining_failed_count)
                end,
                case when worded.round > 1 then ' other' else '' end,
                case
                    when worded.remaining_failed_count = 1 then 'failure is'
                    else 'failures are'
                end || ' ' || worded.levels,
                worded.failed_count,
                worded.total_count,
                worded.outside_failed_count,
                worded.outside_total_count
            )
            || case
                when worded.other_levels = '' then ''
                else '; the same conditions as ' || worded.other_levels
            end
            || case
                when worded.outside_other_count = 0 then ''
                else format('; {} elsewhere failed with another cause', worded.outside_other_count)
            end
        end as sentence,
        worded.round,
        worded.failed_count,
        worded.total_count,
        worded.outside_failed_count,
        worded.outside_other_count,
        worded.outside_total_count,
        worded.lift,
        worded.p_value,
        worded.p_holm
    from worded
)

select
    explained.experiment_id,
    explained.root_cause_id,
    explained.category,
    explained.combination,
    explained.equivalents,
    case
        when explained.levels = '' then 'universal'
        else 'specific to ' || array_to_string(map_keys(explained.combination), ' x ')
    end as scope,
    explained.sentence,
    explained.sentence
    || case
        when explained.levels = '' then ''
        else
            '; association, family-wise error <= 0.05 per cause in the first round;'
            || ' later rounds exploratory; not proof'
    end as statement,
    explained.round,
    explained.failed_count,
    explained.total_count,
    explained.outside_failed_count,
    explained.outside_other_count,
    explained.outside_total_count,
    explained.lift,
    explained.p_value,
    explained.p_holm
from explained;

comment on view suspect is
'Factor levels that explain a root cause; grain: experiment_id, root_cause_id, round';
comment on column suspect.experiment_id is 'the experiment [id]';
comment on column suspect.root_cause_id is 'the root cause [id]';
comment on column suspect.category is 'its category [name]';
comment on column suspect.combination is
'factor -> level, one or two of them; none = universal: every condition failed with it [text]';
comment on column suspect.equivalents is
'other combinations with exactly the same conditions: the data can''t distinguish them [text]';
comment on column suspect.scope is 'the factors that it is specific to, or universal [text]';
comment on column suspect.sentence is 'the suspect as a sentence, with its counter-evidence [text]';
comment on column suspect.statement is 'the sentence with its caveat [text]';
comment on column suspect.round is
'round of the search, from 1; later rounds test the remaining conditions and are exploratory [count]';
comment on column suspect.failed_count is
'conditions of the combination that failed with this cause [count]';
comment on column suspect.total_count is 'conditions of the combination that have a result [count]';
comment on column suspect.outside_failed_count is
'conditions of the round outside it that failed with this cause [count]';
comment on column suspect.outside_other_count is
'conditions outside it that failed with another cause, perhaps too early for this one [count]';
comment on column suspect.outside_total_count is 'conditions of the round outside it [count]';
comment on column suspect.lift is 'share of failures in the combination divided by that of all [ratio]';
comment on column suspect.p_value is
'probability of so many failures in the combination, see fisher; 1 if universal [ratio]';
comment on column suspect.p_holm is
'the same, corrected for all combinations of the round; 1 if universal [ratio]';
