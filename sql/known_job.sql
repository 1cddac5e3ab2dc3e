-- Every job that the manifest or a poll knows, to decide what can be cancelled: duplicates are also jobs of a
-- condition, and a job that no poll has shown yet may exist.
create or replace view known_job as
with known as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        attempt.job_id,
        attempt.job_key
    from attempt
    union
    select
        job.experiment_id,
        job.condition_id,
        job.job_id,
        job.job_key
    from job
)

select
    known.experiment_id,
    known.condition_id,
    known.job_id,
    known.job_key,
    any_value(job.status order by job.is_terminal, job.task_id) as status,
    coalesce(bool_or(job.state in ('pending', 'running')), true) as is_open,
    coalesce(bool_and(job.is_terminal), false) as has_ended,
    coalesce(any_value(longest_run.has_started), false) as has_started,
    any_value(longest_run.cycle) as cycle,
    any_value(longest_run.longest_run_s) as longest_run_s
from known
left join job on known.experiment_id = job.experiment_id and known.job_key = job.job_key
left join longest_run
    on known.experiment_id = longest_run.experiment_id and known.job_key = longest_run.job_key
group by known.experiment_id, known.condition_id, known.job_id, known.job_key;

comment on view known_job is
'A job that the manifest or a poll knows; grain: experiment_id, condition_id, job_key';
comment on column known_job.experiment_id is 'the experiment [id]';
comment on column known_job.condition_id is 'the condition [id]';
comment on column known_job.job_id is 'the managed job [id]';
comment on column known_job.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column known_job.status is
'SkyPilot''s status of its first task that has not ended, otherwise of its first; null = not seen yet [name]';
comment on column known_job.is_open is
'it has not ended, and the queue lists it or has not shown it yet [bool]';
comment on column known_job.has_ended is 'all its tasks have ended [bool]';
comment on column known_job.has_started is 'it was RUNNING at least once; only for an attempt [bool]';
comment on column known_job.cycle is
'0 = first launch, 1 and 2 = relaunches; null = superseded or a duplicate [count]';
comment on column known_job.longest_run_s is
'its longest run, see view longest_run; null = not started, unknown, or not an attempt [s]';
