-- Jobs that left the queue before they ended and that nobody has closed: each may still run.
create or replace view lost_job as
select
    condition.experiment_id,
    condition.condition_id,
    condition.job_id,
    condition.job_key,
    any_value(job.status) as status,
    condition.manifest_position,
    max(job.last_seen_at) as last_seen_at,
    max(job.since_at) as lost_at
from condition
inner join job on condition.experiment_id = job.experiment_id and condition.job_key = job.job_key
where job.state = 'lost' and not condition.is_terminal
group by
    condition.experiment_id,
    condition.condition_id,
    condition.job_id,
    condition.job_key,
    condition.manifest_position;

comment on view lost_job is 'A job that may still run unnoticed; grain: experiment_id, condition_id';
comment on column lost_job.experiment_id is 'the experiment [id]';
comment on column lost_job.condition_id is 'the condition [id]';
comment on column lost_job.job_id is 'its managed job [id]';
comment on column lost_job.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column lost_job.status is 'SkyPilot''s status when it was last listed [name]';
comment on column lost_job.manifest_position is
'position of the condition in the manifest, from 0 [count]';
comment on column lost_job.last_seen_at is 'last poll that listed it [UTC]';
comment on column lost_job.lost_at is 'first poll that no longer listed it [UTC]';
