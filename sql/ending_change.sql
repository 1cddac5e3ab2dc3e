-- Changes of ended attempts: the job runs again (reopened), or SkyPilot now reports another ending
-- (status_changed). Each is an alarm episode: it lasts while the job runs, or until the queue shows another
-- status. A job that a person closed as lost has ended too: if the queue lists it again, it runs again.
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
    union
    select
        job_observation.experiment_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id
    from job_observation
    inner join lost_job_closure
        on
            job_observation.experiment_id = lost_job_closure.experiment_id
            and job_observation.job_key = lost_job_closure.job_key
    where
        job_observation.previous_step = 'lost' and job_observation.is_seen and not job_observation.is_terminal
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
        job_observation.previous_step,
        lag(job_observation.seen_at) over task as previous_seen_at,
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
                when job_observation.is_terminal or not job_observation.is_seen then job_observation.seen_at
            end
        ) over later as next_ended_at,
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
        task as (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
            order by job_observation.poll_id
        ),
        later as (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
            order by job_observation.poll_id
            rows between 1 following and unbounded following
        )
),

reported as (
    select
        followed.*,
        -- A queue's file may be older than the closure, so the absence decides which closure is meant.
        followed.previous_step = 'lost'
        and lost_job_closure.closed_at is not null
        and coalesce(lost_job_closure.closed_at < followed.next_ended_at, true) as was_closed,
        case
            when followed.was_terminal then 'had ended as ' || followed.previous_status
            else 'had been closed as lost'
        end as earlier_ending
    from followed
    asof left join lost_job_closure
        on
            followed.experiment_id = lost_job_closure.experiment_id
            and followed.job_key = lost_job_closure.job_key
            and followed.previous_seen_at <= lost_job_closure.closed_at
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
    reported.experiment_id,
    reported.condition_id,
    reported.job_id,
    reported.job_key,
    reported.task_id,
    reported.poll_id,
    case
        when reported.is_terminal then reported.next_changed_poll_id else reported.next_ended_poll_id
    end as cleared_poll_id,
    case when reported.is_terminal then 'status_changed' else 'reopened' end as kind,
    case
        when not reported.is_terminal and newest_attempt.job_key <> reported.job_key then 'critical'
        else 'warning'
    end as severity,
    case
        when reported.is_terminal and reported.status = reported.previous_status
            then
                'ended as ' || reported.status || ', which still counts, but SkyPilot now reports '
                || reported.reported_status || '; check whether its cluster still exists'
        when reported.is_terminal
            then
                'had ended as ' || reported.previous_status || ', but SkyPilot now reports '
                || reported.reported_status || ': it ran again between two polls'
        when newest_attempt.job_key <> reported.job_key
            then
                reported.earlier_ending || ' and is ' || reported.status || ' again, beside job '
                || newest_attempt.job_id
                || ' of the same condition; cancel one of them: sky jobs cancel ' || reported.job_id
        else
            reported.earlier_ending || ' and is ' || reported.status
            || ' again; wait until it ends (fmon watch)'
    end as wording,
    reported.reported_status as status,
    reported.cycle,
    reported.seen_at
from reported
left join newest_attempt
    on
        reported.experiment_id = newest_attempt.experiment_id
        and reported.condition_id = newest_attempt.condition_id
where
    reported.is_seen
    and case
        when reported.is_terminal
            then reported.was_terminal and reported.reported_status <> reported.previous_reported_status
        else reported.was_terminal or reported.was_closed
    end;

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
