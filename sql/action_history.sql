-- Actions on an experiment in chronological order: launched cycles, kill switch firings, diagnoses, fixes,
-- checks, cancels. Launches are taken from the jobs, everything else from events.jsonl.
create or replace view action_history as
with relaunch_event as (
    select
        cycle_start.experiment_id,
        cycle_start.cycle,
        min(cycle_start.event_position) as event_position
    from cycle_start
    group by cycle_start.experiment_id, cycle_start.cycle
),

together as (
    select
        job.experiment_id,
        job.cycle,
        'launch' as kind,
        null as person,
        case when job.cycle = 0 then 'first launch' else format('relaunch, cycle {}', job.cycle) end
        || format(': {} job{}', count(distinct job.job_key), if(count(distinct job.job_key) = 1, '', 's'))
            as what,
        -- The first launch, and a launch that fmon did not make, sort before other events at the same time.
        coalesce(min(relaunch_event.event_position), 0) as event_position,
        min(coalesce(job.submitted_at, job.first_seen_at)) as occurred_at
    from job
    left join relaunch_event
        on job.experiment_id = relaunch_event.experiment_id and job.cycle = relaunch_event.cycle
    group by job.experiment_id, job.cycle
    union all
    select
        kill_switch.experiment_id,
        kill_switch.cycle,
        'kill_switch' as kind,
        null as person,
        case
            when kill_switch.trigger = 'failed_ratio'
                then format('{} failed jobs, more than max_failed_ratio allows', kill_switch.failed_count)
            else
                format('{} failures with the same error ({})', kill_switch.failed_count, kill_switch.category)
        end
        || case
            when cardinality(kill_switch.combination) = 0 then ''
            else ' at ' || array_to_string(
                list_transform(
                    map_entries(kill_switch.combination), lambda pair: pair.key || '=' || pair.value
                ),
                ' and '
            )
        end
        || case
            when kill_switch.no_action_reason is not null
                then '; nothing proposed: ' || kill_switch.no_action_reason
            else format(
                '; cancelling similar jobs was proposed, {} still open', len(kill_switch.cancel_job_ids)
            )
        end as what,
        firing.event_position,
        kill_switch.fired_at as occurred_at
    from kill_switch
    inner join firing
        on
            kill_switch.experiment_id = firing.experiment_id
            and kill_switch.firing_id = firing.firing_id
    union all
    select
        diagnosis.experiment_id,
        diagnosis.cycle,
        'diagnosis' as kind,
        null as person,
        format(
            '{} failure{} with {} root cause{}{}',
            diagnosis.failed_count,
            if(diagnosis.failed_count = 1, '', 's'),
            len(diagnosis.root_cause_ids),
            if(len(diagnosis.root_cause_ids) = 1, '', 's'),
            if(diagnosis.is_preliminary, '; preliminary, jobs were open', '')
        ) as what,
        diagnosis.event_position,
        diagnosis.diagnosed_at as occurred_at
    from diagnosis
    union all
    select
        fix_record.experiment_id,
        fix_record.cycle,
        if(fix_record.is_without_fix, 'no_fix', 'fix') as kind,
        fix_record.person,
        fix_record.root_cause_id || ': ' || fix_record.what as what,
        fix_record.event_position,
        fix_record.fixed_at as occurred_at
    from fix_record
    union all
    select
        fix_check.experiment_id,
        fix_check.cycle,
        if(fix_check.is_ok, 'check', 'failed_check') as kind,
        null as person,
        if(
            fix_check.is_ok,
            'the chain from diagnosis to image was intact',
            'the chain from diagnosis to image was broken'
        )
        || coalesce(': ' || fix_check.image, '')
        || coalesce(' at ' || fix_check.digest, '') as what,
        fix_check.event_position,
        fix_check.checked_at as occurred_at
    from fix_check
    union all
    select
        cycle_authorization.experiment_id,
        cycle_authorization.cycle,
        'authorization' as kind,
        cycle_authorization.person,
        format(
            'cycle {} may cost {:.2f} USD', cycle_authorization.cycle, cycle_authorization.budget_usd
        ) as what,
        cycle_authorization.event_position,
        cycle_authorization.authorized_at as occurred_at
    from cycle_authorization
    union all
    select
        cancel_request.experiment_id,
        max(attempt.cycle) as cycle,
        'cancel' as kind,
        cancel_request.person,
        format(
            'requested cancellation of {} job{} ({}): {}',
            count(distinct cancel_request.job_key),
            if(count(distinct cancel_request.job_key) = 1, '', 's'),
            replace(cancel_request.reason, '_', ' '),
            array_to_string(list_sort(list_distinct(list(cancel_request.job_id)))[:20], ', ')
        ) as what,
        min(cancel_request.event_position) as event_position,
        cancel_request.requested_at as occurred_at
    from cancel_request
    left join attempt
        on cancel_request.experiment_id = attempt.experiment_id and cancel_request.job_key = attempt.job_key
    group by
        cancel_request.experiment_id,
        cancel_request.person,
        cancel_request.reason,
        cancel_request.requested_at
    union all
    select
        lost_job_closure.experiment_id,
        attempt.cycle,
        'lost' as kind,
        lost_job_closure.person,
        format(
            'a person confirmed that job {} of {} has ended: {}',
            lost_job_closure.job_id,
            lost_job_closure.condition_id,
            lost_job_closure.reason
        ) as what,
        lost_job_closure.event_position,
        lost_job_closure.closed_at as occurred_at
    from lost_job_closure
    left join attempt
        on
            lost_job_closure.experiment_id = attempt.experiment_id
            and lost_job_closure.condition_id = attempt.condition_id
            and lost_job_closure.job_key = attempt.job_key
)

select
    together.experiment_id,
    row_number() over (
        partition by together.experiment_id
        order by together.occurred_at, together.event_position, together.cycle
    ) as event_number,
    together.kind,
    together.person,
    together.what,
    together.cycle,
    together.occurred_at
from together;

comment on view action_history is
'An action on an experiment; grain: experiment_id, event_number';
comment on column action_history.experiment_id is 'the experiment [id]';
comment on column action_history.event_number is 'chronological order, from 1 [count]';
comment on column action_history.kind is
'launch, kill_switch, diagnosis, fix, no_fix, check, failed_check, authorization, cancel or lost [name]';
comment on column action_history.person is 'who did it; null = fmon, or not recorded [name]';
comment on column action_history.what is 'description of the action [text]';
comment on column action_history.cycle is 'the cycle that it concerns; null = unknown [count]';
comment on column action_history.occurred_at is 'when it happened [UTC]';
