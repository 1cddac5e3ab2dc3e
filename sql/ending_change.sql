-- Changes of ended attempts: the job runs again (reopened), or SkyPilot now reports another ending
-- (status_changed). Each is an alarm episode: it lasts while the job runs, or until the queue shows another
-- status.
create or replace view ending_change as
with touched as (
    select distinct
        job_observation.experiment_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id
    from job_observation
    where
        job_observation.was_terminal
        and job_observation.role <> 'duplicate'
        and (
            not job_observation.is_terminal
            or job_observation.reported_status <> job_observation.previous_reported_status
        )
),

followed as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.reported_status,
        job_observation.previous_reported_status,
        job_observation.status,
        job_observation.previous_status,
        job_observation.is_seen,
        job_observation.is_terminal,
        job_observation.was_terminal,
        job_observation.cycle,
        job_observation.seen_at,
        min(
            case
                when job_observation.is_terminal or not job_observation.is_seen then job_observation.poll_id
            end
        ) over later as next_ended_poll_id,
        min(
            case
                when
                    not job_observation.is_terminal
                    or not job_observation.is_seen
                    or job_observation.reported_status <> job_observation.previous_reported_status
                    then job_observation.poll_id
            end
        ) over later as next_changed_poll_id
    from job_observation
    inner join touched
        on
            job_observation.experiment_id = touched.experiment_id
            and job_observation.job_key = touched.job_key
            and job_observation.task_id = touched.task_id
    window
        later as (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
            order by job_observation.poll_id
            rows between 1 following and unbounded following
        )
),

newest_attempt as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        arg_max(attempt.job_id, (attempt.cycle, attempt.role = 'attempt', attempt.job_key)) as job_id,
        arg_max(attempt.job_key, (attempt.cycle, attempt.role = 'attempt', attempt.job_key)) as job_key
    from attempt
    group by attempt.experiment_id, attempt.condition_id
)

select
    followed.experiment_id,
    followed.condition_id,
    followed.job_id,
    followed.job_key,
    followed.task_id,
    followed.poll_id,
    case
        when followed.is_terminal then followed.next_changed_poll_id else followed.next_ended_poll_id
    end as cleared_poll_id,
    case when followed.is_terminal then 'status_changed' else 'reopened' end as kind,
    case
        when not followed.is_terminal and newest_attempt.job_key <> followed.job_key then 'critical'
        else 'warning'
    end as severity,
    case
        when followed.is_terminal and followed.status = followed.previous_status
            then
                'ended as ' || followed.status || ', which still counts, but SkyPilot now reports '
                || followed.reported_status || '; check whether its cluster still exists'
        when followed.is_terminal
            then
                'had ended as ' || followed.previous_status || ', but SkyPilot now reports '
                || followed.reported_status || ': it ran again between two polls'
        when newest_attempt.job_key <> followed.job_key
            then
                'had ended as ' || followed.previous_status || ' and is ' || followed.status
                || ' again, beside job ' || newest_attempt.job_id
                || ' of the same condition; cancel one of them: sky jobs cancel ' || followed.job_id
        else
            'had ended as ' || followed.previous_status || ' and is ' || followed.status
            || ' again; wait until it ends (fmon watch)'
    end as wording,
    followed.reported_status as status,
    followed.cycle,
    followed.seen_at
from followed
left join newest_attempt
    on
        followed.experiment_id = newest_attempt.experiment_id
        and followed.condition_id = newest_attempt.condition_id
where
    followed.was_terminal
    and followed.is_seen
    and (
        not followed.is_terminal or followed.reported_status <> followed.previous_reported_status
    );

comment on view ending_change is
'An ended attempt that runs again or has another ending; grain: experiment_id, job_key, task_id, poll_id';
comment on column ending_change.experiment_id is 'the experiment [id]';
comment on column ending_change.condition_id is 'the condition [id]';
comment on column ending_change.job_id is 'its managed job [id]';
comment on column ending_change.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column ending_change.task_id is 'task within the job [id]';
comment on column ending_change.poll_id is 'the poll that showed it [id]';
comment on column ending_change.cleared_poll_id is
'the poll that showed its end; null while it lasts [id]';
comment on column ending_change.kind is 'reopened or status_changed [name]';
comment on column ending_change.severity is
'critical if a newer attempt of the condition exists, otherwise warning [name]';
comment on column ending_change.wording is 'wording of the alarm [text]';
comment on column ending_change.status is 'SkyPilot''s status since then [name]';
comment on column ending_change.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column ending_change.seen_at is 'time of that poll [UTC]';
