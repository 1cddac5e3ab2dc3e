-- What explains a root cause, in words: view association has the search.
-- A cause of which every condition with a verdict failed is universal: there is nothing to compare it with.
create or replace view suspect as
with newest as (
    select
        verdict.experiment_id,
        verdict.root_cause_id,
        verdict.category
    from verdict
    where verdict.is_newest
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
        association.experiment_id,
        association.root_cause_id,
        association.category,
        association.combination,
        association.equivalents,
        association.round,
        association.failed_count,
        association.total_count,
        association.rest_failed_count - association.failed_count as elsewhere_failed_count,
        association.elsewhere_other_count,
        association.rest_total_count - association.total_count as elsewhere_total_count,
        association.lift,
        association.p_value,
        association.p_holm
    from association

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
        0 as elsewhere_failed_count,
        0 as elsewhere_other_count,
        0 as elsewhere_total_count,
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
        listed.elsewhere_failed_count,
        listed.elsewhere_other_count,
        listed.elsewhere_total_count,
        listed.lift,
        listed.p_value,
        listed.p_holm,
        listed.failed_count + listed.elsewhere_failed_count as rest_failed_count,
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

claimed as (
    select
        worded.experiment_id,
        worded.root_cause_id,
        worded.category,
        worded.combination,
        worded.equivalents,
        worded.levels,
        case
            when worded.levels = '' and worded.total_count = 1
                then 'the only condition with a verdict failed of this cause: nothing to compare it with'
            when worded.levels = ''
                then format(
                    'all {} conditions with a verdict failed of this cause: nothing to compare them with',
                    worded.total_count
                )
            else format(
                '{}{} {} ({} of {} there, {} of {} elsewhere)',
                case
                    when worded.rest_failed_count = 1 then 'the only'
                    when worded.failed_count = worded.rest_failed_count
                        then format('all {}', worded.rest_failed_count)
                    else format('{} of {}', worded.failed_count, worded.rest_failed_count)
                end,
                case when worded.round > 1 then ' other' else '' end,
                case
                    when worded.rest_failed_count = 1 then 'failure is'
                    else 'failures are'
                end || ' ' || worded.levels,
                worded.failed_count,
                worded.total_count,
                worded.elsewhere_failed_count,
                worded.elsewhere_total_count
            )
            || case
                when worded.other_levels = '' then ''
                else '; the same conditions as ' || worded.other_levels
            end
            || case
                when worded.elsewhere_other_count = 0 then ''
                else format('; {} elsewhere failed of another cause', worded.elsewhere_other_count)
            end
        end as claim,
        worded.round,
        worded.failed_count,
        worded.total_count,
        worded.elsewhere_failed_count,
        worded.elsewhere_other_count,
        worded.elsewhere_total_count,
        worded.lift,
        worded.p_value,
        worded.p_holm
    from worded
)

select
    claimed.experiment_id,
    claimed.root_cause_id,
    claimed.category,
    claimed.combination,
    claimed.equivalents,
    case
        when claimed.levels = '' then 'universal'
        else 'specific to ' || array_to_string(map_keys(claimed.combination), ' x ')
    end as pattern,
    claimed.claim,
    claimed.claim
    || case
        when claimed.levels = '' then ''
        else
            '; association, family-wise error <= 0.05 per cause in the first round;'
            || ' later rounds exploratory; not proof'
    end as statement,
    claimed.round,
    claimed.failed_count,
    claimed.total_count,
    claimed.elsewhere_failed_count,
    claimed.elsewhere_other_count,
    claimed.elsewhere_total_count,
    claimed.lift,
    claimed.p_value,
    claimed.p_holm
from claimed;

comment on view suspect is
'What levels explain a root cause; grain: experiment_id, root_cause_id, round';
comment on column suspect.experiment_id is 'the experiment [id]';
comment on column suspect.root_cause_id is 'what failures of one root cause share [id]';
comment on column suspect.category is 'its category [name]';
comment on column suspect.combination is
'factor -> level, one or two of them; none = universal: every condition failed of it [text]';
comment on column suspect.equivalents is
'other combinations of exactly the same conditions: the data can''t tell them apart [text]';
comment on column suspect.pattern is 'specific to which factors, or universal [text]';
comment on column suspect.claim is 'the suspicion as a sentence, with its counter-evidence [text]';
comment on column suspect.statement is 'claim, and how far it may be trusted [text]';
comment on column suspect.round is
'1; after that, what the conditions that earlier rounds did not take away show: exploratory [count]';
comment on column suspect.failed_count is 'conditions of the combination that failed of this cause [count]';
comment on column suspect.total_count is 'conditions of the combination that have a verdict [count]';
comment on column suspect.elsewhere_failed_count is
'conditions outside it, of those the round looks at, that failed of this cause [count]';
comment on column suspect.elsewhere_other_count is
'conditions outside it that failed of another cause, perhaps too early for this one [count]';
comment on column suspect.elsewhere_total_count is 'conditions outside it that the round looks at [count]';
comment on column suspect.lift is 'share of failures in the combination against that of all [ratio]';
comment on column suspect.p_value is
'chance of so many failures in the combination, see fisher; 1 where universal [ratio]';
comment on column suspect.p_holm is
'the same, corrected for all combinations of the round; 1 where universal [ratio]';
