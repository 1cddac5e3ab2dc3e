-- The longest single run of the tasks of each attempt. The kill switch compares it with the point at which
-- others failed, so it errs on the long side: a run lasts until the next one begins, including the recovery.
-- A job that no poll has shown yet has not started.
create or replace view longest_run as
with run as (
    select distinct
        job_observation.experiment_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        coalesce(
            job_observation.last_recovered_at,
            job_observation.start_at,
            job_observation.seen_at - to_microseconds(cast(job_observation.job_duration_s * 1e6 as bigint))
        ) as started_at
    from job_observation
    where
        job_observation.role = 'attempt'
        and (
            job_observation.start_at is not null
            or job_observation.state = 'running'
            or (job_observation.is_terminal and job_observation.job_duration_s > 0)
        )
),

-- A run without a known start can't be ordered: we only know that the job has one.
followed as (
    select
        run.experiment_id,
        run.job_id,
        run.job_key,
        run.task_id,
        run.started_at,
        lead(run.started_at) over (
            partition by run.experiment_id, run.job_key, run.task_id
            order by run.started_at asc nulls last
        ) as next_at
    from run
),

task as (
    select
        job.experiment_id,
        job.job_id,
        job.job_key,
        job.task_id,
        any_value(job.state) as state,
        any_value(job.is_failed) as is_failed,
        -- The rows of a lost job show its last known status: nobody can cancel it.
        any_value(job.state in ('pending', 'running')) as is_open,
        count(followed.job_key) > 0 as has_started,
        max(
            case
                when followed.started_at is null then null
                else greatest(
                    0,
                    epoch_us(
                        coalesce(followed.next_at, job.end_at, experiment.now_at)
                    ) - epoch_us(followed.started_at)
                ) / 1e6
            end
        ) as longest_run_s,
        any_value(case when job.is_terminal then job.run_s end) as duration_s,
        any_value(case when job.is_terminal then job.end_at end) as end_at
    from job
    inner join experiment on job.experiment_id = experiment.experiment_id
    left join followed
        on
            job.experiment_id = followed.experiment_id
            and job.job_key = followed.job_key
            and job.task_id = followed.task_id
    group by job.experiment_id, job.job_id, job.job_key, job.task_id
),

whole as (
    select
        task.experiment_id,
        task.job_id,
        task.job_key,
        bool_or(task.is_open) as is_open,
        bool_or(task.is_failed) as is_failed,
        bool_and(task.state = 'succeeded') as has_succeeded,
        bool_or(task.has_started) as has_started,
        -- If the time of one task is unknown, that of the job is unknown.
        case
            when not bool_or(task.has_started and task.longest_run_s is null) then sum(task.longest_run_s)
        end as longest_run_s,
        sum(task.duration_s) as duration_s,
        min(task.end_at) filter (where task.is_failed) as failed_at
    from task
    group by task.experiment_id, task.job_id, task.job_key
)

select
    attempt.experiment_id,
    attempt.condition_id,
    attempt.job_id,
    attempt.job_key,
    coalesce(whole.is_open, true) as is_open,
    coalesce(whole.is_failed, false) as is_failed,
    coalesce(whole.has_succeeded, false) as has_succeeded,
    coalesce(whole.has_started, false) as has_started,
    attempt.cycle,
    whole.longest_run_s,
    whole.duration_s,
    whole.failed_at
from attempt
left join whole
    on attempt.experiment_id = whole.experiment_id and attempt.job_key = whole.job_key
where attempt.role = 'attempt';

comment on view longest_run is
'The longest single run of an attempt; grain: experiment_id, condition_id, cycle, job_key';
comment on column longest_run.experiment_id is 'the experiment [id]';
comment on column longest_run.condition_id is 'the condition [id]';
comment on column longest_run.job_id is 'its managed job [id]';
comment on column longest_run.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column longest_run.is_open is
'it has not ended, and the queue lists it or has not shown it yet [bool]';
comment on column longest_run.is_failed is 'one of its tasks failed [bool]';
comment on column longest_run.has_succeeded is 'all its tasks succeeded [bool]';
comment on column longest_run.has_started is 'it was RUNNING at least once [bool]';
comment on column longest_run.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column longest_run.longest_run_s is
'its longest run including recovery, sum over its tasks; null = not started or unknown [s]';
comment on column longest_run.duration_s is 'run time of its ended tasks, see view job [s]';
comment on column longest_run.failed_at is
'when its first failed task ended; null = none failed, or unknown [UTC]';
