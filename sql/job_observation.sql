-- Every stored row of the experiment's jobs, with its condition, the meaning of its status and the previous
-- row. A row is stored when something changes, so nothing changed between two rows of a job task.
create or replace view job_observation as
with newest_cycle as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        max(attempt.cycle) as cycle
    from attempt
    group by attempt.experiment_id, attempt.condition_id
),

-- The manifest assigns jobs to conditions. An unknown job with a condition's job name is a duplicate.
owned as (
    select
        snapshot.experiment_id,
        coalesce(attempt.condition_id, entry.condition_id) as condition_id,
        snapshot.job_id,
        snapshot.job_key,
        snapshot.task_id,
        snapshot.poll_id,
        coalesce(attempt.role, 'duplicate') as role,
        attempt.cycle,
        snapshot.status,
        snapshot.is_seen,
        snapshot.job_duration_s,
        snapshot.polled_at,
        snapshot.submitted_at,
        snapshot.start_at,
        snapshot.last_recovered_at,
        snapshot.end_at
    from snapshot
    left join attempt
        on snapshot.experiment_id = attempt.experiment_id and snapshot.job_key = attempt.job_key
    left join entry
        on snapshot.experiment_id = entry.experiment_id and snapshot.job_name = entry.job_name
    where attempt.job_key is not null or entry.condition_id is not null
),

judged as (
    select
        owned.experiment_id,
        owned.condition_id,
        owned.job_id,
        owned.job_key,
        owned.task_id,
        owned.poll_id,
        owned.role,
        owned.status,
        coalesce(status.state, 'running') as state,
        case
            when owned.is_seen or coalesce(status.is_terminal, false) then coalesce(status.step, 'unknown')
            else 'lost'
        end as step,
        owned.is_seen,
        coalesce(status.is_terminal, false) as is_terminal,
        coalesce(status.is_failed, false) as is_failed,
        coalesce(status.is_billed, true) as is_billed,
        coalesce(status.is_unstarted, false) as is_unstarted,
        coalesce(owned.cycle, newest_cycle.cycle, manifest.current_cycle) as cycle,
        owned.job_duration_s,
        owned.polled_at as seen_at,
        owned.submitted_at,
        owned.start_at,
        owned.last_recovered_at,
        owned.end_at
    from owned
    inner join manifest on owned.experiment_id = manifest.experiment_id
    left join newest_cycle
        on
            owned.experiment_id = newest_cycle.experiment_id
            and owned.condition_id = newest_cycle.condition_id
    left join status on owned.status = status.status
)

select
    judged.experiment_id,
    judged.condition_id,
    judged.job_id,
    judged.job_key,
    judged.task_id,
    judged.poll_id,
    judged.role,
    judged.status,
    judged.state,
    judged.step,
    lag(judged.status) over task as previous_status,
    lag(judged.step) over task as previous_step,
    judged.is_seen,
    coalesce(lag(judged.is_seen) over task, false) as was_seen,
    judged.is_terminal,
    judged.is_failed,
    judged.is_billed,
    judged.is_unstarted,
    lead(judged.poll_id) over task is null as is_newest,
    judged.cycle,
    judged.job_duration_s,
    judged.seen_at,
    judged.submitted_at,
    judged.start_at,
    judged.last_recovered_at,
    judged.end_at
from judged
window
    task as (
        partition by judged.experiment_id, judged.job_key, judged.task_id
        order by judged.poll_id
    );

comment on view job_observation is
'A stored row of a job task, with the meaning of its status; grain: experiment_id, job_key, task_id, poll_id';
comment on column job_observation.experiment_id is 'the experiment [id]';
comment on column job_observation.condition_id is 'the condition the job belongs to [id]';
comment on column job_observation.job_id is 'SkyPilot''s managed job [id]';
comment on column job_observation.job_key is 'its identity: the job id, unless that was given out again [id]';
comment on column job_observation.task_id is 'task within the job [id]';
comment on column job_observation.poll_id is 'the poll that stored the row [id]';
comment on column job_observation.role is 'attempt, superseded or duplicate, see view job [name]';
comment on column job_observation.status is
'SkyPilot''s status; for an absent job the last known one [name]';
comment on column job_observation.state is 'meaning of the status; see table status [name]';
comment on column job_observation.step is
'what alarms watch: waiting, starting, running, unknown, failed_setup, ended or lost [name]';
comment on column job_observation.previous_status is
'status in the previous row; null = first row [name]';
comment on column job_observation.previous_step is 'step in the previous row; null = first row [name]';
comment on column job_observation.is_seen is
'the queue listed it; false = absent from a successful poll [bool]';
comment on column job_observation.was_seen is 'the queue listed it in the previous row [bool]';
comment on column job_observation.is_terminal is 'no further change possible; false if unknown [bool]';
comment on column job_observation.is_failed is
'ended without success; false if cancelled or unknown [bool]';
comment on column job_observation.is_billed is 'it had or was getting a machine; true if unknown [bool]';
comment on column job_observation.is_unstarted is 'without start_at it never had a machine [bool]';
comment on column job_observation.is_newest is 'the newest row of its job task [bool]';
comment on column job_observation.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column job_observation.job_duration_s is
'SkyPilot''s run time; only in rows of ended jobs and rows without start_at [s]';
comment on column job_observation.seen_at is 'time of the poll [UTC]';
comment on column job_observation.submitted_at is 'when it was submitted to SkyPilot [UTC]';
comment on column job_observation.start_at is
'when it was first RUNNING; setup is part of RUNNING [UTC]';
comment on column job_observation.last_recovered_at is 'when its last recovery was done [UTC]';
comment on column job_observation.end_at is 'when it became terminal [UTC]';
