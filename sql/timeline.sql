-- The time span of each job task in the timeline: from its submission to its end, or to now.
create or replace view timeline as
select
    job.experiment_id,
    job.condition_id,
    job.job_id,
    job.job_key,
    job.task_id,
    job.role,
    job.state,
    job.status,
    job.is_failed,
    job.cycle,
    job.run_s,
    job.cost_usd,
    coalesce(job.submitted_at, job.first_seen_at) as from_at,
    job.start_at,
    coalesce(job.end_at, case when job.is_terminal then job.detected_at else experiment.now_at end) as to_at
from job
inner join experiment on job.experiment_id = experiment.experiment_id;

comment on view timeline is
'A job task from its submission to its end; grain: experiment_id, job_key, task_id';
comment on column timeline.experiment_id is 'the experiment [id]';
comment on column timeline.condition_id is 'the condition [id]';
comment on column timeline.job_id is 'its managed job [id]';
comment on column timeline.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column timeline.task_id is 'task within the job [id]';
comment on column timeline.role is 'attempt, superseded or duplicate, see view job [name]';
comment on column timeline.state is 'its state, see view job [name]';
comment on column timeline.status is 'SkyPilot''s status [name]';
comment on column timeline.is_failed is 'it failed [bool]';
comment on column timeline.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column timeline.run_s is 'run time, see view job; null = not started [s]';
comment on column timeline.cost_usd is 'its cost so far; null = unknown [USD]';
comment on column timeline.from_at is 'when it was submitted, otherwise first seen [UTC]';
comment on column timeline.start_at is 'when it was first RUNNING; null = not yet, or unknown [UTC]';
comment on column timeline.to_at is
'when it ended, otherwise first poll that showed its end; for an open task experiment.now_at [UTC]';
