-- The effective status in each stored row of the job tasks whose ending changed. SkyPilot overwrites the
-- status of an ended job when its cleanup fails or its controller dies, but that does not change what the job
-- did: the first ending counts, unless the job ran again in between.
create or replace view effective_status as
with changed as (
    select
        snapshot.experiment_id,
        snapshot.job_id,
        snapshot.job_key,
        snapshot.task_id
    from snapshot
    inner join status on snapshot.status = status.status
    where status.is_terminal
    group by snapshot.experiment_id, snapshot.job_id, snapshot.job_key, snapshot.task_id
    having
        min(snapshot.status) <> max(snapshot.status)
        or bool_or(snapshot.failure_reason like 'Failed to clean up%')
),

-- A job that is being cancelled is cleaned up first; if that fails, it never gets the status of a cancelled
-- job.
observed as (
    select
        snapshot.experiment_id,
        snapshot.job_id,
        snapshot.job_key,
        snapshot.task_id,
        snapshot.poll_id,
        case
            when status.is_terminal and snapshot.failure_reason like 'Failed to clean up%'
                then coalesce(lag(status.ends_as) over task, snapshot.status)
            else snapshot.status
        end as status,
        coalesce(status.is_terminal, false) as is_terminal,
        coalesce(status.state = 'succeeded', false) as has_succeeded,
        coalesce(lag(status.is_terminal) over task, false) as was_terminal,
        lag(snapshot.status) over task as previous_status,
        snapshot.recovery_count > lag(snapshot.recovery_count) over task
        or greatest(snapshot.start_at, snapshot.last_recovered_at) > lag(snapshot.end_at) over task
            as has_run_again,
        snapshot.job_duration_s,
        snapshot.end_at
    from snapshot
    inner join changed
        on
            snapshot.experiment_id = changed.experiment_id
            and snapshot.job_key = changed.job_key
            and snapshot.task_id = changed.task_id
    left join status on snapshot.status = status.status
    window
        task as (
            partition by snapshot.experiment_id, snapshot.job_key, snapshot.task_id
            order by snapshot.poll_id
        )
),

-- Only a running job can succeed, so a success after another ending means that the job ran again.
numbered as (
    select
        observed.experiment_id,
        observed.job_id,
        observed.job_key,
        observed.task_id,
        observed.poll_id,
        observed.status,
        sum(
            case
                when not (observed.is_terminal and observed.was_terminal) then 1
                when observed.has_run_again then 1
                when observed.has_succeeded and observed.previous_status <> observed.status then 1
                else 0
            end
        ) over (
            partition by observed.experiment_id, observed.job_key, observed.task_id
            order by observed.poll_id
        ) as ending_number,
        observed.job_duration_s,
        observed.end_at
    from observed
),

first_of_ending as (
    select
        numbered.experiment_id,
        numbered.job_id,
        numbered.job_key,
        numbered.task_id,
        numbered.poll_id,
        numbered.status,
        numbered.ending_number,
        first_value(numbered.status) over (
            partition by numbered.experiment_id, numbered.job_key, numbered.task_id, numbered.ending_number
            order by numbered.poll_id
        ) as first_status,
        numbered.job_duration_s,
        numbered.end_at
    from numbered
),

-- The newest row that still has the first status; it may be more complete than the first row.
kept as (
    select
        first_of_ending.experiment_id,
        first_of_ending.job_id,
        first_of_ending.job_key,
        first_of_ending.task_id,
        first_of_ending.poll_id,
        first_of_ending.first_status,
        last_value(
            case
                when first_of_ending.status = first_of_ending.first_status
                    then {
                        poll_id: first_of_ending.poll_id,
                        job_duration_s: first_of_ending.job_duration_s,
                        end_at: first_of_ending.end_at
                    }
            end
            ignore nulls
        ) over (
            partition by
                first_of_ending.experiment_id,
                first_of_ending.job_key,
                first_of_ending.task_id,
                first_of_ending.ending_number
            order by first_of_ending.poll_id
            rows between unbounded preceding and current row
        ) as newest
    from first_of_ending
)

select
    kept.experiment_id,
    kept.job_id,
    kept.job_key,
    kept.task_id,
    kept.poll_id,
    kept.newest.poll_id as status_poll_id,
    kept.first_status as status,
    kept.newest.job_duration_s,
    kept.newest.end_at
from kept;

comment on view effective_status is
'Effective status of a job task whose ending changed; grain: experiment_id, job_key, task_id, poll_id';
comment on column effective_status.experiment_id is 'the experiment [id]';
comment on column effective_status.job_id is 'SkyPilot''s managed job [id]';
comment on column effective_status.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column effective_status.task_id is 'task within the job [id]';
comment on column effective_status.poll_id is 'the poll that stored the row [id]';
comment on column effective_status.status_poll_id is
'the last poll up to this row that showed the effective status [id]';
comment on column effective_status.status is
'effective status: of an ended run, the first terminal status that SkyPilot reported [name]';
comment on column effective_status.job_duration_s is 'SkyPilot''s run time at status_poll_id [s]';
comment on column effective_status.end_at is 'the end at status_poll_id [UTC]';
