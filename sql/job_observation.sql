-- Every stored row of the experiment's jobs, with its condition, the meaning of its status and the previous
-- row. A row is stored when something changes, so nothing changed between two rows of a job task. If the
-- ending of a job changed, its status is that of view effective_status.
-- Impossible times are null here, so that no other view reads them: a time in the future (by more than 5
-- minutes, because clocks differ), or before the step that must precede it. View impossible_time has them.
create or replace view job_observation as
with newest_cycle as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        max(attempt.cycle) as cycle
    from attempt
    group by attempt.experiment_id, attempt.condition_id
),

counting as (
    select
        snapshot.* replace (
            coalesce(effective_status.status, snapshot.status) as status,
            if(effective_status.poll_id is null, snapshot.job_duration_s, effective_status.job_duration_s)
                as job_duration_s,
            if(effective_status.poll_id is null, snapshot.end_at, effective_status.end_at) as end_at
        ),
        snapshot.status as reported_status,
        coalesce(effective_status.status_poll_id, snapshot.poll_id) as status_poll_id
    from snapshot
    left join effective_status
        on
            snapshot.experiment_id = effective_status.experiment_id
            and snapshot.job_key = effective_status.job_key
            and snapshot.task_id = effective_status.task_id
            and snapshot.poll_id = effective_status.poll_id
),

-- The manifest assigns jobs to conditions. An unknown job with a condition's job name is a duplicate.
owned as (
    select
        counting.experiment_id,
        coalesce(attempt.condition_id, entry.condition_id) as condition_id,
        counting.job_id,
        counting.job_key,
        counting.task_id,
        counting.poll_id,
        counting.status_poll_id,
        coalesce(attempt.role, 'duplicate') as role,
        attempt.cycle,
        counting.reported_status,
        counting.status,
        counting.schedule_state,
        counting.details,
        counting.machine,
        counting.is_seen,
        counting.has_machine,
        counting.job_duration_s,
        counting.recovery_count,
        counting.price_usd_per_h,
        counting.polled_at,
        case
            when counting.submitted_at <= experiment.now_at + interval 5 minutes then counting.submitted_at
        end as submitted_at,
        case
            when counting.start_at <= experiment.now_at + interval 5 minutes then counting.start_at
        end as start_at,
        case
            when counting.last_recovered_at <= experiment.now_at + interval 5 minutes
                then counting.last_recovered_at
        end as last_recovered_at,
        case
            when counting.end_at <= experiment.now_at + interval 5 minutes then counting.end_at
        end as end_at,
        coalesce(len(string_split(counting.invalid_fields, ', ')), 0)
        + if(counting.submitted_at is null, 0, 1)
        + if(counting.start_at is null, 0, 1)
        + if(counting.last_recovered_at is null, 0, 1)
        + if(counting.end_at is null, 0, 1) as given_count
    from counting
    inner join experiment on counting.experiment_id = experiment.experiment_id
    left join attempt
        on counting.experiment_id = attempt.experiment_id and counting.job_key = attempt.job_key
    left join entry
        on counting.experiment_id = entry.experiment_id and counting.job_name = entry.job_name
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
        owned.status_poll_id,
        owned.role,
        owned.reported_status,
        owned.status,
        coalesce(status.state, 'running') as state,
        case
            when owned.is_seen or coalesce(status.is_terminal, false) then coalesce(status.step, 'unknown')
            else 'lost'
        end as step,
        status.phase,
        owned.is_seen,
        coalesce(status.is_terminal, false) as is_terminal,
        coalesce(status.is_failed, false) as is_failed,
        coalesce(status.is_billed, true) as is_billed,
        coalesce(status.is_unstarted, false) as is_unstarted,
        -- Without a machine: SkyPilot waits for capacity or for its turn to launch. A running job has one.
        case
            when status.phase = 'run' then false
            when
                owned.schedule_state = 'ALIVE_BACKOFF'
                or starts_with(owned.details, 'In backoff, waiting for resources')
                then true
            when owned.has_machine is not null then not owned.has_machine
            else
                coalesce(owned.schedule_state in ('INACTIVE', 'WAITING', 'ALIVE_WAITING'), false)
                or coalesce(
                    starts_with(owned.details, 'Waiting for other jobs to launch')
                    or starts_with(owned.details, 'Waiting for higher priority jobs to launch'),
                    false
                )
        end as is_waiting,
        owned.schedule_state,
        owned.machine,
        coalesce(owned.has_machine, false) as has_machine,
        coalesce(owned.cycle, newest_cycle.cycle, manifest.current_cycle) as cycle,
        owned.recovery_count,
        owned.job_duration_s,
        owned.price_usd_per_h,
        owned.polled_at as seen_at,
        owned.submitted_at,
        case
            when owned.start_at >= owned.submitted_at or owned.submitted_at is null then owned.start_at
        end as start_at,
        case
            when owned.last_recovered_at >= coalesce(owned.submitted_at, owned.last_recovered_at)
                then owned.last_recovered_at
        end as last_recovered_at,
        -- The latest of the known steps before it.
        case
            when
                owned.end_at >= coalesce(
                    greatest(owned.submitted_at, owned.start_at, owned.last_recovered_at), owned.end_at
                )
                then owned.end_at
        end as end_at,
        owned.given_count
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
    judged.status_poll_id,
    judged.role,
    judged.reported_status,
    judged.status,
    judged.state,
    judged.step,
    lag(judged.reported_status) over task as previous_reported_status,
    judged.phase,
    lag(judged.status) over task as previous_status,
    lag(judged.step) over task as previous_step,
    judged.is_seen,
    coalesce(lag(judged.is_seen) over task, false) as was_seen,
    judged.is_terminal,
    coalesce(lag(judged.is_terminal) over task, false) as was_terminal,
    judged.is_failed,
    judged.is_billed,
    judged.is_unstarted,
    judged.is_waiting,
    judged.schedule_state,
    judged.machine,
    judged.has_machine,
    lead(judged.poll_id) over task is null as is_newest,
    judged.cycle,
    judged.given_count
    - if(judged.submitted_at is null, 0, 1)
    - if(judged.start_at is null, 0, 1)
    - if(judged.last_recovered_at is null, 0, 1)
    - if(judged.end_at is null, 0, 1) as impossible_count,
    judged.recovery_count,
    judged.job_duration_s,
    judged.price_usd_per_h,
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
comment on column job_observation.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column job_observation.task_id is 'task within the job [id]';
comment on column job_observation.poll_id is 'the poll that stored the row [id]';
comment on column job_observation.status_poll_id is
'the poll that last showed this status: an earlier one if SkyPilot overwrote the ending [id]';
comment on column job_observation.role is 'attempt, superseded or duplicate, see view job [name]';
comment on column job_observation.reported_status is
'SkyPilot''s status, unchanged; for an absent job the last known one [name]';
comment on column job_observation.status is
'effective status: SkyPilot''s, or the first ending if SkyPilot overwrote it [name]';
comment on column job_observation.state is 'meaning of the status; see table status [name]';
comment on column job_observation.step is
'what alarms watch: waiting, starting, running, unknown, failed_setup, ended or lost [name]';
comment on column job_observation.previous_reported_status is
'reported_status of the previous row; null = first row [name]';
comment on column job_observation.phase is 'launch, run, recovery or null; see table status [name]';
comment on column job_observation.previous_status is
'status in the previous row; null = first row [name]';
comment on column job_observation.previous_step is 'step in the previous row; null = first row [name]';
comment on column job_observation.is_seen is
'the queue listed it; false = absent from a successful poll [bool]';
comment on column job_observation.was_seen is 'the queue listed it in the previous row [bool]';
comment on column job_observation.is_terminal is 'no further change possible; false if unknown [bool]';
comment on column job_observation.was_terminal is 'the previous row is terminal [bool]';
comment on column job_observation.is_failed is
'ended without success; false if cancelled or unknown [bool]';
comment on column job_observation.is_billed is 'it had or was getting a machine; true if unknown [bool]';
comment on column job_observation.is_unstarted is 'without start_at it never had a machine [bool]';
comment on column job_observation.is_waiting is
'it has no machine because it waits for capacity or for its turn to launch; false if unknown [bool]';
comment on column job_observation.schedule_state is
'state of SkyPilot''s scheduler; null = not reported [name]';
comment on column job_observation.machine is
'resources of its current machine; null = none, or not reported [text]';
comment on column job_observation.has_machine is 'it has a machine, according to the queue [bool]';
comment on column job_observation.is_newest is 'the newest row of its job task [bool]';
comment on column job_observation.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column job_observation.impossible_count is
'impossible times and durations, see view impossible_time [count]';
comment on column job_observation.recovery_count is 'number of recoveries [count]';
comment on column job_observation.job_duration_s is
'SkyPilot''s run time; only in rows of ended jobs and rows without start_at [s]';
comment on column job_observation.price_usd_per_h is 'price of its machine; null = unknown [USD/h]';
comment on column job_observation.seen_at is 'time of the poll [UTC]';
comment on column job_observation.submitted_at is 'when it was submitted to SkyPilot [UTC]';
comment on column job_observation.start_at is
'when it was first RUNNING; setup is part of RUNNING [UTC]';
comment on column job_observation.last_recovered_at is 'when its last recovery was done [UTC]';
comment on column job_observation.end_at is 'when it became terminal [UTC]';
