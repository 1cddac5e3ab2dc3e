-- Every change of a job task's status as SkyPilot reported it, and every time that it left the queue or came
-- back.
create or replace view transition as
with answered as (
    select
        heartbeat.experiment_id,
        heartbeat.poll_id,
        heartbeat.polled_at
    from heartbeat
    where heartbeat.is_ok
)

select
    job_observation.experiment_id,
    job_observation.condition_id,
    job_observation.job_id,
    job_observation.job_key,
    job_observation.task_id,
    job_observation.poll_id,
    job_observation.role,
    job_observation.previous_reported_status as from_status,
    job_observation.reported_status as to_status,
    job_observation.is_seen,
    job_observation.cycle,
    job_observation.seen_at,
    answered.polled_at as not_before_at
from job_observation
asof left join answered
    on job_observation.experiment_id = answered.experiment_id and job_observation.poll_id > answered.poll_id
where
    job_observation.previous_reported_status is distinct from job_observation.reported_status
    or job_observation.was_seen <> job_observation.is_seen;

comment on view transition is
'A change of a job task''s status or presence; grain: experiment_id, job_key, task_id, poll_id';
comment on column transition.experiment_id is 'the experiment [id]';
comment on column transition.condition_id is 'the condition the job belongs to [id]';
comment on column transition.job_id is 'SkyPilot''s managed job [id]';
comment on column transition.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column transition.task_id is 'task within the job [id]';
comment on column transition.poll_id is 'the poll that showed the change [id]';
comment on column transition.role is 'attempt, superseded or duplicate, see view job [name]';
comment on column transition.from_status is 'status before; null = first seen [name]';
comment on column transition.to_status is 'status after; for an absent job the last known one [name]';
comment on column transition.is_seen is 'false = from this poll on the queue does not list it [bool]';
comment on column transition.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column transition.seen_at is 'the poll that showed it [UTC]';
comment on column transition.not_before_at is 'the previous successful poll; null = there is none [UTC]';
