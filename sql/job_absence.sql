-- Job tasks that the queue no longer lists, with the last poll that did: nothing is known about them after
-- that poll.
create or replace view job_absence as
with gone as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.status,
        job_observation.is_terminal,
        job_observation.seen_at
    from job_observation
    where job_observation.is_newest and not job_observation.is_seen
),

answered as (
    select
        heartbeat.experiment_id,
        heartbeat.poll_id,
        heartbeat.polled_at
    from heartbeat
    -- Usually no job is absent; then a year of polls does not have to be sorted.
    where
        heartbeat.is_ok
        and heartbeat.experiment_id in (select gone.experiment_id from gone)
)

select
    gone.experiment_id,
    gone.condition_id,
    gone.job_id,
    gone.job_key,
    gone.task_id,
    gone.status,
    gone.is_terminal,
    answered.polled_at as last_seen_at,
    gone.seen_at as gone_at
from gone
asof left join answered
    on gone.experiment_id = answered.experiment_id and gone.poll_id > answered.poll_id;

comment on view job_absence is
'A job task that the queue no longer lists; grain: experiment_id, job_key, task_id';
comment on column job_absence.experiment_id is 'the experiment [id]';
comment on column job_absence.condition_id is 'the condition it belongs to [id]';
comment on column job_absence.job_id is 'SkyPilot''s managed job [id]';
comment on column job_absence.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column job_absence.task_id is 'task within the job [id]';
comment on column job_absence.status is 'the last known status [name]';
comment on column job_absence.is_terminal is 'it had ended; if not, it is lost [bool]';
comment on column job_absence.last_seen_at is 'newest successful poll that saw it [UTC]';
comment on column job_absence.gone_at is 'the first successful poll that did not list it [UTC]';
