-- Periods in which a job task is in one of the steps that a kind of alarm watches, from the poll that first
-- showed the step to the poll that showed another one. View alarm has the episodes that reached their
-- threshold. When a job leaves the queue, all its episodes end except for the one of kind lost.
-- Kind wrong_variables is different: it begins with the poll that compared a job with its condition, and
-- lasts as long as the job is open or the newest attempt of the condition, whose result it would be.
-- The kinds reopened and status_changed are in view ending_change, flapping in view flapping.
create or replace view alarm_episode as
with kind as (
    select
        known.kind,
        known.steps,
        known.roles,
        known.severity,
        known.wording
    from (
        values
        ('failed_setup', ['failed_setup'], ['attempt', 'superseded'], 'critical', 'failed in setup'),
        ('pending_too_long', ['waiting'], ['attempt', 'superseded'], 'warning', 'waiting for a machine'),
        ('starting_too_long', ['starting'], ['attempt', 'superseded'], 'warning', 'starting'),
        ('overrun', ['running', 'unknown'], ['attempt', 'superseded'], 'critical', 'running'),
        ('lost', ['lost'], ['attempt', 'superseded'], 'critical', 'left the queue without ending'),
        (
            'duplicate', ['waiting', 'starting', 'running', 'unknown'], ['duplicate'], 'critical',
            'is a second job for the condition that the manifest does not know'
        ),
        (
            'unknown_status', ['unknown'], ['attempt', 'superseded', 'duplicate'], 'warning',
            'has a status that fmon does not know'
        )
    ) as known (kind, steps, roles, severity, wording)
),

turn as (
    select
        kind.kind,
        kind.severity,
        kind.wording,
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.status,
        job_observation.previous_step is null as is_first,
        list_contains(kind.steps, job_observation.step) as is_on,
        job_observation.cycle,
        job_observation.submitted_at,
        job_observation.start_at,
        job_observation.end_at,
        job_observation.seen_at
    from job_observation
    inner join kind
        on
            list_contains(kind.roles, job_observation.role)
            and list_contains(kind.steps, job_observation.step)
            <> coalesce(list_contains(kind.steps, job_observation.previous_step), false)
    where job_observation.step is distinct from job_observation.previous_step
),

-- The first poll that showed a newer attempt of the same condition: it ends the alarm about a failed setup.
succeeding as (
    select
        attempt.experiment_id,
        attempt.job_id,
        attempt.job_key,
        lead(min(job_observation.poll_id)) over attempts as newer_poll_id
    from attempt
    inner join job_observation
        on attempt.experiment_id = job_observation.experiment_id and attempt.job_key = job_observation.job_key
    where job_observation.previous_step is null
    group by attempt.experiment_id, attempt.condition_id, attempt.cycle, attempt.job_id, attempt.job_key
    window
        attempts as (
            partition by attempt.experiment_id, attempt.condition_id
            order by attempt.cycle, attempt.job_key
        )
),

lasting as (
    select
        turn.kind,
        turn.severity,
        turn.wording,
        turn.experiment_id,
        turn.condition_id,
        turn.job_id,
        turn.job_key,
        turn.task_id,
        turn.poll_id,
        turn.status,
        turn.is_first,
        turn.cycle,
        turn.submitted_at,
        turn.start_at,
        turn.end_at,
        turn.seen_at,
        lead(turn.poll_id) over task as next_poll_id
    from turn
    window
        task as (
            partition by turn.kind, turn.experiment_id, turn.job_key, turn.task_id
            order by turn.poll_id
        )
    qualify turn.is_on
),

wrong as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        attempt.job_id,
        attempt.job_key,
        attempt.cycle,
        variable_check.poll_id,
        array_to_string(variable_check.wrong_names, ', ') as wrong_names,
        heartbeat.polled_at as seen_at
    from variable_check
    inner join attempt
        on
            variable_check.experiment_id = attempt.experiment_id
            and variable_check.job_key = attempt.job_key
    inner join heartbeat
        on
            variable_check.experiment_id = heartbeat.experiment_id
            and variable_check.poll_id = heartbeat.poll_id
    where len(variable_check.wrong_names) > 0
),

-- The tasks of these jobs; an open one has not ended and is listed by the queue.
wrong_task as (
    select
        wrong.experiment_id,
        wrong.job_id,
        wrong.job_key,
        job_observation.task_id,
        any_value(job_observation.status) filter (where job_observation.is_newest) as status,
        any_value(job_observation.state) filter (where job_observation.is_newest) as state,
        bool_or(
            job_observation.is_newest and job_observation.is_seen and not job_observation.is_terminal
        ) as is_open,
        min(job_observation.poll_id) filter (
            where job_observation.is_terminal or not job_observation.is_seen
        ) as ended_poll_id,
        min(job_observation.submitted_at) as submitted_at
    from wrong
    inner join job_observation
        on wrong.experiment_id = job_observation.experiment_id and wrong.job_key = job_observation.job_key
    group by wrong.experiment_id, wrong.job_id, wrong.job_key, job_observation.task_id
),

wrong_job as (
    select
        wrong_task.experiment_id,
        wrong_task.job_id,
        wrong_task.job_key,
        min(wrong_task.task_id) as task_id,
        any_value(wrong_task.status order by wrong_task.task_id) as status,
        bool_or(wrong_task.is_open) as is_open,
        case when not bool_or(wrong_task.is_open) then max(wrong_task.ended_poll_id) end as ended_poll_id,
        bool_and(wrong_task.state = 'succeeded') as has_succeeded,
        min(wrong_task.submitted_at) as submitted_at
    from wrong_task
    group by wrong_task.experiment_id, wrong_task.job_id, wrong_task.job_key
),

wrong_episode as (
    select
        wrong.experiment_id,
        wrong.condition_id,
        wrong.job_id,
        wrong.job_key,
        wrong_job.task_id,
        wrong.poll_id,
        case
            when wrong_job.ended_poll_id is not null and succeeding.newer_poll_id is not null
                then greatest(wrong.poll_id, wrong_job.ended_poll_id, succeeding.newer_poll_id)
        end as cleared_poll_id,
        case when wrong_job.is_open then 'runs' else 'ran' end
        || ' with different values of ' || wrong.wrong_names || ' than its condition' as wording,
        case
            when wrong_job.is_open
                then
                    '; cancel it and launch the condition again: fmon cancel ' || wrong.condition_id || ' -e '
                    || wrong.experiment_id || ', then fmon relaunch -e ' || wrong.experiment_id
                    || ' --include-cancelled'
            when wrong_job.has_succeeded
                then
                    ', so its result is not valid for the condition; submit ' || entry.job_name
                    || ' again with the right values, then run fmon adopt ' || manifest.config_file
            else
                '; launch the condition again: fmon relaunch -e ' || wrong.experiment_id
                || ' --include-cancelled'
        end as advice,
        wrong_job.status,
        wrong.cycle,
        least(wrong_job.submitted_at, wrong.seen_at) as started_at,
        wrong.seen_at
    from wrong
    inner join wrong_job
        on wrong.experiment_id = wrong_job.experiment_id and wrong.job_key = wrong_job.job_key
    inner join entry
        on wrong.experiment_id = entry.experiment_id and wrong.condition_id = entry.condition_id
    inner join manifest on wrong.experiment_id = manifest.experiment_id
    left join succeeding
        on wrong.experiment_id = succeeding.experiment_id and wrong.job_key = succeeding.job_key
),

-- Jobs that left the queue in the same poll get one alarm, about those that are still missing.
vanished as (
    select
        lasting.experiment_id,
        arg_min(lasting.condition_id, (lasting.job_key, lasting.task_id)) as condition_id,
        arg_min(lasting.job_id, lasting.job_key) as job_id,
        min(lasting.job_key) as job_key,
        arg_min(lasting.task_id, (lasting.job_key, lasting.task_id)) as task_id,
        lasting.poll_id,
        lasting.next_poll_id,
        any_value(lasting.severity) as severity,
        arg_min(lasting.status, (lasting.job_key, lasting.task_id)) as status,
        arg_min(lasting.cycle, (lasting.job_key, lasting.task_id)) as cycle,
        any_value(lasting.seen_at) as seen_at,
        count(distinct lasting.job_key) as job_count
    from lasting
    asof left join lost_job_closure
        on
            lasting.experiment_id = lost_job_closure.experiment_id
            and lasting.job_key = lost_job_closure.job_key
            and lasting.seen_at <= lost_job_closure.closed_at
    where lasting.kind = 'lost'
    -- Jobs that a person has closed are a separate episode.
    group by lasting.experiment_id, lasting.poll_id, lasting.next_poll_id, lost_job_closure.closed_at
),

newest_answer as (
    select
        heartbeat.experiment_id,
        arg_max(heartbeat.job_count, heartbeat.poll_id) as job_count
    from heartbeat
    where
        heartbeat.is_ok
        and heartbeat.experiment_id in (select vanished.experiment_id from vanished)
    group by heartbeat.experiment_id
),

vanished_episode as (
    select
        vanished.experiment_id,
        vanished.condition_id,
        vanished.job_id,
        vanished.job_key,
        vanished.task_id,
        vanished.poll_id,
        vanished.next_poll_id,
        vanished.severity,
        vanished.status,
        vanished.cycle,
        vanished.seen_at,
        case
            when vanished.job_count > 2 then format('and {} more jobs left', vanished.job_count - 1)
            when vanished.job_count = 2 then 'and 1 more job left'
            else 'left'
        end
        || case
            when heartbeat.job_count = 0 and newest_answer.job_count = 0
                then
                    ' the queue, which is empty: SkyPilot''s jobs controller may be stopped, or its '
                    || 'history is gone. Start it (sky jobs queue --refresh), then run fmon poll; close '
                    || 'jobs that have ended: '
            else ' the queue without ending; check whether it still runs, then close it: '
        end
        || 'fmon cancel --lost --reason TEXT -e ' || vanished.experiment_id as wording
    from vanished
    inner join heartbeat
        on vanished.experiment_id = heartbeat.experiment_id and vanished.poll_id = heartbeat.poll_id
    inner join newest_answer on vanished.experiment_id = newest_answer.experiment_id
)

select
    vanished_episode.experiment_id,
    vanished_episode.condition_id,
    vanished_episode.job_id,
    vanished_episode.job_key,
    vanished_episode.task_id,
    vanished_episode.poll_id,
    vanished_episode.next_poll_id as cleared_poll_id,
    'lost' as kind,
    vanished_episode.severity,
    vanished_episode.wording,
    vanished_episode.status,
    vanished_episode.cycle,
    0 as threshold_s,
    vanished_episode.seen_at as started_at,
    vanished_episode.seen_at
from vanished_episode
union all
select
    lasting.experiment_id,
    lasting.condition_id,
    lasting.job_id,
    lasting.job_key,
    lasting.task_id,
    lasting.poll_id,
    case
        when lasting.kind = 'failed_setup' and succeeding.newer_poll_id is not null
            then least(lasting.next_poll_id, greatest(lasting.poll_id, succeeding.newer_poll_id))
        else lasting.next_poll_id
    end as cleared_poll_id,
    lasting.kind,
    lasting.severity,
    lasting.wording,
    lasting.status,
    lasting.cycle,
    case lasting.kind
        when 'pending_too_long' then experiment.pending_threshold_s
        when 'starting_too_long' then experiment.starting_threshold_s
        -- Without an expected time there is no overrun.
        when 'overrun' then experiment.overrun_factor * entry.expected_s
        else 0
    end as threshold_s,
    case
        when lasting.kind in ('pending_too_long', 'duplicate') and lasting.is_first
            then coalesce(lasting.submitted_at, lasting.seen_at)
        when lasting.kind = 'overrun' then coalesce(lasting.start_at, lasting.seen_at)
        when lasting.kind = 'failed_setup' then coalesce(lasting.end_at, lasting.seen_at)
        else lasting.seen_at
    end as started_at,
    lasting.seen_at
from lasting
inner join experiment on lasting.experiment_id = experiment.experiment_id
inner join entry
    on lasting.experiment_id = entry.experiment_id and lasting.condition_id = entry.condition_id
left join succeeding
    on lasting.experiment_id = succeeding.experiment_id and lasting.job_key = succeeding.job_key
where lasting.kind <> 'lost'
union all
select
    wrong_episode.experiment_id,
    wrong_episode.condition_id,
    wrong_episode.job_id,
    wrong_episode.job_key,
    wrong_episode.task_id,
    wrong_episode.poll_id,
    wrong_episode.cleared_poll_id,
    'wrong_variables' as kind,
    'critical' as severity,
    wrong_episode.wording
    || case when wrong_episode.cleared_poll_id is null then wrong_episode.advice else '' end as wording,
    wrong_episode.status,
    wrong_episode.cycle,
    0 as threshold_s,
    wrong_episode.started_at,
    wrong_episode.seen_at
from wrong_episode
union all
select
    ending_change.experiment_id,
    ending_change.condition_id,
    ending_change.job_id,
    ending_change.job_key,
    ending_change.task_id,
    ending_change.poll_id,
    ending_change.cleared_poll_id,
    ending_change.kind,
    ending_change.severity,
    ending_change.wording,
    ending_change.status,
    ending_change.cycle,
    0 as threshold_s,
    ending_change.seen_at as started_at,
    ending_change.seen_at
from ending_change
union all
select
    flapping.experiment_id,
    flapping.condition_id,
    flapping.job_id,
    flapping.job_key,
    flapping.task_id,
    flapping.poll_id,
    flapping.cleared_poll_id,
    'flapping' as kind,
    'warning' as severity,
    format('went back to PENDING, STARTING or RECOVERING {} times within 6 h', flapping.change_count)
    || case
        when flapping.cleared_poll_id is null
            then
                '; check capacity, quota and region (fmon logs ' || flapping.job_id || ' --controller -e '
                || flapping.experiment_id || '), or cancel it: fmon cancel ' || flapping.condition_id
                || ' -e ' || flapping.experiment_id
        else ''
    end as wording,
    flapping.status,
    flapping.cycle,
    0 as threshold_s,
    flapping.seen_at as started_at,
    flapping.seen_at
from flapping;

comment on view alarm_episode is
'A period in which the criterion of an alarm was met; grain: experiment_id, kind, job_key, task_id, poll_id';
comment on column alarm_episode.experiment_id is 'the experiment [id]';
comment on column alarm_episode.condition_id is 'the condition [id]';
comment on column alarm_episode.job_id is 'its managed job [id]';
comment on column alarm_episode.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column alarm_episode.task_id is 'task within the job [id]';
comment on column alarm_episode.poll_id is 'the poll that first showed it [id]';
comment on column alarm_episode.cleared_poll_id is
'the poll that showed its end; null while it lasts [id]';
comment on column alarm_episode.kind is 'kind of the alarm, see view alarm [name]';
comment on column alarm_episode.severity is 'critical or warning [name]';
comment on column alarm_episode.wording is 'wording of the alarm [text]';
comment on column alarm_episode.status is 'SkyPilot''s status when it began [name]';
comment on column alarm_episode.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column alarm_episode.threshold_s is
'how long it may last; 0 = any duration raises an alarm; null = no limit [s]';
comment on column alarm_episode.started_at is
'when it began: SkyPilot''s time, otherwise the first poll that saw it [UTC]';
comment on column alarm_episode.seen_at is 'the first poll that saw it [UTC]';
