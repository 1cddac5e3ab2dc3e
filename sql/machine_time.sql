-- How long each job task had a machine, including setup and recoveries: its cost is this time times the
-- price. It is the time between stored rows in which the status is billed (table status). If SkyPilot's own
-- times give a boundary more precisely than the poll that saw it, they are used.
create or replace view machine_time as
with following as (
    select
        job_observation.experiment_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.is_seen,
        job_observation.is_terminal,
        job_observation.is_billed,
        job_observation.is_unstarted,
        job_observation.is_newest,
        job_observation.job_duration_s,
        job_observation.seen_at,
        job_observation.start_at,
        job_observation.last_recovered_at,
        job_observation.end_at,
        coalesce(lag(job_observation.is_billed) over task, false) as was_billed,
        lag(job_observation.seen_at) over task as previous_at,
        lag(job_observation.start_at) over task as previous_start_at,
        lead(job_observation.start_at) over task as next_start_at,
        -- Of a job that runs again after an end, the end is not the last one.
        max(
            case
                when job_observation.is_newest and job_observation.is_terminal then job_observation.end_at
            end
        ) over (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
        ) as last_end_at,
        lead(
            case
                when job_observation.is_terminal
                    then coalesce(job_observation.end_at, job_observation.seen_at)
                else job_observation.seen_at
            end
        ) over task as next_at,
        coalesce(lead(not job_observation.is_seen) over task, false) as is_lost_next
    from job_observation
    -- If a job came back after an absence, the gap was in the queue's answer, not in the job.
    where job_observation.is_seen or job_observation.is_newest
    window
        task as (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
            order by job_observation.poll_id
        )
),

stretch as (
    select
        following.experiment_id,
        following.job_id,
        following.job_key,
        following.task_id,
        case
            when following.was_billed then following.seen_at
            -- The job got a machine since the previous row, or was first seen with one.
            else greatest(
                following.previous_at,
                least(
                    following.seen_at,
                    case
                        when following.previous_start_at is null
                            then coalesce(
                                following.start_at,
                                -- The queue gave the start only later, but it was before this poll.
                                case
                                    when following.next_start_at < following.seen_at
                                        then following.next_start_at
                                end,
                                following.seen_at - to_microseconds(
                                    cast(following.job_duration_s * 1e6 as bigint)
                                ),
                                following.seen_at
                            )
                        -- It ran before, so start_at belongs to the earlier run.
                        when following.last_recovered_at >= following.previous_at
                            then following.last_recovered_at
                        else following.seen_at
                    end
                )
            )
        end as begun_at,
        case
            -- For a lost job, no run time is known after the last poll that saw it.
            when following.is_lost_next then job_absence.last_seen_at
            -- The next poll may have been after the end.
            else least(coalesce(following.next_at, experiment.now_at), following.last_end_at)
        end as ended_at
    from following
    inner join experiment on following.experiment_id = experiment.experiment_id
    left join job_absence
        on
            following.experiment_id = job_absence.experiment_id
            and following.job_key = job_absence.job_key
            and following.task_id = job_absence.task_id
    where following.is_billed and following.is_seen
)
,

billed as (
    select
        stretch.experiment_id,
        stretch.job_id,
        stretch.job_key,
        stretch.task_id,
        -- Integer microseconds keep sums and prices exact. Clocks jump backwards; time on a machine does not.
        sum(greatest(0, epoch_us(stretch.ended_at) - epoch_us(stretch.begun_at))) as machine_us
    from stretch
    group by stretch.experiment_id, stretch.job_id, stretch.job_key, stretch.task_id
)

select
    following.experiment_id,
    following.job_id,
    following.job_key,
    following.task_id,
    cast(
        case
            when billed.machine_us is not null then billed.machine_us
            when not following.is_terminal then 0
            -- Ended but never seen with a machine: it had one only between two polls, or it never had one.
            when following.start_at is not null and following.end_at is not null
                then greatest(0, epoch_us(following.end_at) - epoch_us(following.start_at))
            when following.job_duration_s is not null then round(following.job_duration_s * 1e6)
            when following.start_at is null and following.is_unstarted then 0
        end as double
    ) / 1e6 as machine_s
from following
left join billed
    on
        following.experiment_id = billed.experiment_id
        and following.job_key = billed.job_key
        and following.task_id = billed.task_id
where following.is_newest;

comment on view machine_time is 'The machine time of a job task; grain: experiment_id, job_key, task_id';
comment on column machine_time.experiment_id is 'the experiment [id]';
comment on column machine_time.job_id is 'SkyPilot''s managed job [id]';
comment on column machine_time.job_key is 'its identity: the job id, unless that was given out again [id]';
comment on column machine_time.task_id is 'task within the job [id]';
comment on column machine_time.machine_s is
'time with a machine, from provisioning if polls saw it; for open tasks until now; null = unknown [s]';
