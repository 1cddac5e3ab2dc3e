-- Ended jobs whose cost can be looked up in SkyPilot's cost report, which finds a job by the names of its
-- tasks and its id, so it can't distinguish jobs that had the same id. Recordings and queues read from a file
-- have no cost report.
create or replace view billable_job as
with asked as (
    select distinct heartbeat.experiment_id
    from heartbeat
    where heartbeat.source = 'sky'
)

select
    job.experiment_id,
    job.job_id,
    job.job_key,
    list(distinct coalesce(job.task_name, job.job_name)) as task_names,
    coalesce(min(job.submitted_at), min(job.first_seen_at)) as submitted_at
from job
inner join experiment on job.experiment_id = experiment.experiment_id
inner join asked on job.experiment_id = asked.experiment_id
where
    not experiment.is_replayed
    and not exists (
        select 1
        from job as other
        where
            other.experiment_id = job.experiment_id
            and other.job_id = job.job_id
            and other.job_key <> job.job_key
    )
group by job.experiment_id, job.job_id, job.job_key
having bool_and(job.is_terminal) and count(coalesce(job.task_name, job.job_name)) = count(*);

comment on view billable_job is
'An ended job whose cost can be looked up in SkyPilot''s cost report; grain: experiment_id, job_key';
comment on column billable_job.experiment_id is 'the experiment [id]';
comment on column billable_job.job_id is 'the managed job [id]';
comment on column billable_job.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column billable_job.task_names is 'distinct names of its tasks, in no order [name]';
comment on column billable_job.submitted_at is 'when it was submitted, otherwise first seen [UTC]';
