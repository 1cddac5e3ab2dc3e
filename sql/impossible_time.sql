-- The impossible times and durations in the queue's answers, which all other views leave out: a value that is
-- not a time, a negative duration, a time in the future, an end before the start, a start before the
-- submission.
create or replace view impossible_time as
with doubtful as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.cycle,
        job_observation.seen_at,
        job_observation.submitted_at,
        job_observation.start_at,
        job_observation.last_recovered_at,
        job_observation.end_at
    from job_observation
    where job_observation.is_newest and job_observation.impossible_count > 0
),

given_time as (
    select
        doubtful.experiment_id,
        doubtful.condition_id,
        doubtful.job_id,
        doubtful.job_key,
        doubtful.task_id,
        doubtful.cycle,
        doubtful.seen_at,
        unnest(
            [
                {
                    field: 'submitted_at', value_at: snapshot.submitted_at,
                    is_left_out: doubtful.submitted_at is null
                },
                { field: 'start_at', value_at: snapshot.start_at, is_left_out: doubtful.start_at is null },
                {
                    field: 'last_recovered_at', value_at: snapshot.last_recovered_at,
                    is_left_out: doubtful.last_recovered_at is null
                },
                { field: 'end_at', value_at: snapshot.end_at, is_left_out: doubtful.end_at is null }
            ]
        ) as given_value
    from doubtful
    inner join snapshot
        on
            doubtful.experiment_id = snapshot.experiment_id
            and doubtful.job_key = snapshot.job_key
            and doubtful.task_id = snapshot.task_id
            and doubtful.poll_id = snapshot.poll_id
),

invalid as (
    select
        doubtful.experiment_id,
        doubtful.condition_id,
        doubtful.job_id,
        doubtful.job_key,
        doubtful.task_id,
        doubtful.cycle,
        doubtful.seen_at,
        unnest(string_split(snapshot.invalid_fields, ', ')) as field
    from doubtful
    inner join snapshot
        on
            doubtful.experiment_id = snapshot.experiment_id
            and doubtful.job_key = snapshot.job_key
            and doubtful.task_id = snapshot.task_id
            and doubtful.poll_id = snapshot.poll_id
    where snapshot.invalid_fields is not null
)

select
    given_time.experiment_id,
    given_time.condition_id,
    given_time.job_id,
    given_time.job_key,
    given_time.task_id,
    given_time.given_value.field,
    case
        when given_time.given_value.value_at > experiment.now_at + interval 5 minutes then 'in the future'
        else 'before an earlier step'
    end as reason,
    given_time.cycle,
    given_time.given_value.value_at,
    given_time.seen_at
from given_time
inner join experiment on given_time.experiment_id = experiment.experiment_id
where given_time.given_value.is_left_out and given_time.given_value.value_at is not null
union all
select
    invalid.experiment_id,
    invalid.condition_id,
    invalid.job_id,
    invalid.job_key,
    invalid.task_id,
    invalid.field,
    'negative, or not a time' as reason,
    invalid.cycle,
    null as value_at,
    invalid.seen_at
from invalid;

comment on view impossible_time is
'An impossible time or duration in the queue; grain: experiment_id, job_key, task_id, field';
comment on column impossible_time.experiment_id is 'the experiment [id]';
comment on column impossible_time.condition_id is 'the condition [id]';
comment on column impossible_time.job_id is 'its managed job [id]';
comment on column impossible_time.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column impossible_time.task_id is 'task within the job [id]';
comment on column impossible_time.field is 'SkyPilot''s name of the time or duration [name]';
comment on column impossible_time.reason is
'in the future, before an earlier step (submission, start, ...), negative, or not a time [text]';
comment on column impossible_time.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column impossible_time.value_at is 'its value; null = not a time [UTC]';
comment on column impossible_time.seen_at is 'the poll that showed it [UTC]';
