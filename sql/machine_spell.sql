-- When each job task had a machine, and its price: one row per stored row with a machine, up to the next
-- stored row. Waiting for capacity is left out. The boundaries are SkyPilot's own times if it gives them,
-- otherwise those of the polls. The price is that of the machine that the row names; while a job is launched,
-- that of the machine that it then gets. A job that was only seen after its end has one row.
create or replace view machine_spell as
with judged as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.phase,
        job_observation.machine,
        job_observation.is_seen,
        job_observation.is_terminal,
        job_observation.is_newest,
        job_observation.is_unstarted,
        job_observation.is_seen and job_observation.is_billed and not job_observation.is_waiting as is_on,
        job_observation.is_seen and job_observation.is_terminal and job_observation.has_machine as is_going,
        coalesce(job_observation.phase = 'launch', false)
        and coalesce(job_observation.schedule_state = 'LAUNCHING', false) as is_launching,
        job_observation.cycle,
        coalesce(job_observation.recovery_count, 0) as recovery_count,
        job_observation.job_duration_s,
        job_observation.price_usd_per_h,
        job_observation.seen_at,
        job_observation.submitted_at,
        job_observation.start_at,
        job_observation.last_recovered_at,
        job_observation.end_at
    from job_observation
    -- If a job came back after an absence, the gap was in the queue's answer, not in the job.
    where job_observation.is_seen or job_observation.is_newest
),

ordered as (
    select
        judged.experiment_id,
        judged.condition_id,
        judged.job_id,
        judged.job_key,
        judged.task_id,
        judged.poll_id,
        judged.phase,
        judged.is_terminal,
        judged.is_newest,
        judged.is_unstarted,
        judged.is_on,
        -- The machine of an ended job costs money until it is gone; unknown until a poll has shown that.
        judged.is_going
        and coalesce(
            judged.poll_id < max(
                case
                    when judged.is_seen and judged.is_terminal and not judged.is_going then judged.poll_id
                end
            ) over whole,
            false
        ) as is_going,
        coalesce(lag(judged.is_on) over task, false) as was_on,
        coalesce(lag(judged.is_terminal) over task, false) as was_terminal,
        coalesce(lag(judged.is_launching) over task, false) as was_launching,
        bool_or(judged.is_on) over whole as is_ever_on,
        coalesce(lead(not judged.is_seen) over task, false) as is_lost_next,
        coalesce(judged.phase <> 'recovery', true) and (
            judged.recovery_count < max(judged.recovery_count) over whole
            or coalesce(
                judged.poll_id < max(
                    case when judged.phase = 'recovery' then judged.poll_id end
                ) over whole,
                false
            )
        ) as is_interrupted,
        judged.cycle,
        judged.recovery_count,
        judged.job_duration_s,
        case
            when judged.machine is not null then judged.price_usd_per_h
            when judged.phase in ('launch', 'recovery') or judged.price_usd_per_h is null
                then
                    coalesce(
                        lead(
                            case
                                when judged.machine is not null
                                    then { price_usd_per_h: judged.price_usd_per_h }
                            end
                            ignore nulls
                        ) over task,
                        { price_usd_per_h: judged.price_usd_per_h }
                    ).price_usd_per_h
            else judged.price_usd_per_h
        end as price_usd_per_h,
        judged.seen_at,
        lag(judged.seen_at) over task as previous_at,
        lag(case when not judged.is_terminal then judged.seen_at end ignore nulls) over task as open_at,
        judged.submitted_at,
        judged.start_at,
        lag(case when not judged.is_terminal then judged.start_at end ignore nulls) over task
            as previous_start_at,
        lead(judged.start_at) over task as next_start_at,
        judged.last_recovered_at,
        lag(judged.last_recovered_at) over task as previous_recovered_at,
        judged.end_at,
        -- If the job runs again after an end, that end is not the last one.
        max(case when judged.is_newest and judged.is_terminal then judged.end_at end) over whole
            as last_end_at
    from judged
    window
        whole as (partition by judged.experiment_id, judged.job_key, judged.task_id),
        task as (
            partition by judged.experiment_id, judged.job_key, judged.task_id
            order by judged.poll_id
        )
),

answered as (
    select
        heartbeat.experiment_id,
        heartbeat.poll_id,
        heartbeat.polled_at
    from heartbeat
    where heartbeat.is_ok
),

-- For a row with a machine after one without: when the job started on that machine, and when the machine's
-- launch began.
started as (
    select
        ordered.*,
        case
            when ordered.is_terminal then ordered.start_at
            -- It ran before, so start_at belongs to the earlier run.
            when ordered.previous_start_at is not null
                then
                    if(
                        ordered.last_recovered_at >= ordered.previous_at,
                        ordered.last_recovered_at,
                        ordered.seen_at
                    )
            else coalesce(
                ordered.start_at,
                -- The queue gave the start only later, but it was before this poll.
                case when ordered.next_start_at < ordered.seen_at then ordered.next_start_at end,
                ordered.seen_at - to_microseconds(cast(ordered.job_duration_s * 1e6 as bigint)),
                ordered.seen_at
            )
        end as run_at,
        case
            when ordered.previous_start_at is not null then null
            when ordered.open_at is null or ordered.submitted_at >= ordered.open_at
                then ordered.submitted_at
            -- Between the last poll that saw the launch without a machine and the first one with it.
            when ordered.was_launching
                then answered.polled_at + (run_at - answered.polled_at) / 2
        end as launch_at
    from ordered
    asof left join answered
        on ordered.experiment_id = answered.experiment_id and ordered.poll_id > answered.poll_id
),

-- A launch that no poll saw only counts if it was short: a long one was mostly waiting for capacity.
launched as (
    select
        started.* exclude (launch_at),
        experiment.now_at,
        if(
            started.launch_at <= started.run_at
            and epoch(started.run_at) - epoch(started.launch_at) <= experiment.starting_threshold_s,
            started.launch_at,
            started.run_at
        ) as launch_at
    from started
    inner join experiment on started.experiment_id = experiment.experiment_id
),

bounded as (
    select
        launched.*,
        greatest(launched.previous_at, least(launched.seen_at, launched.run_at)) as ready_at,
        case
            when launched.is_terminal and launched.was_terminal then launched.seen_at
            when launched.is_terminal then coalesce(launched.end_at, launched.seen_at)
            when not launched.was_on
                then greatest(launched.previous_at, least(launched.seen_at, launched.launch_at))
            when launched.previous_start_at is null and launched.start_at is not null
                then greatest(launched.previous_at, least(launched.seen_at, launched.start_at))
            when
                coalesce(launched.last_recovered_at <> launched.previous_recovered_at, true)
                and launched.last_recovered_at between launched.previous_at and launched.seen_at
                then launched.last_recovered_at
            else launched.seen_at
        end as since_at
    from launched
),

followed as (
    select
        bounded.*,
        coalesce(
            lead(bounded.since_at) over (
                partition by bounded.experiment_id, bounded.job_key, bounded.task_id
                order by bounded.poll_id
            ),
            bounded.now_at
        ) as next_at
    from bounded
),

stretch as (
    -- Rows in which a job had a machine; nothing is known about a lost job after the last poll that saw it.
    select
        followed.experiment_id,
        followed.condition_id,
        followed.job_id,
        followed.job_key,
        followed.task_id,
        followed.poll_id,
        case
            when followed.is_terminal then 'teardown'
            else coalesce(followed.phase, 'run')
        end as phase,
        followed.is_interrupted,
        followed.cycle,
        case when not followed.was_on and not followed.is_terminal then followed.ready_at end as ready_at,
        null as run_s,
        false as is_by_run_s,
        followed.price_usd_per_h,
        if(followed.is_terminal, followed.since_at, least(followed.since_at, followed.last_end_at))
            as started_at,
        case
            when followed.is_lost_next then job_absence.last_seen_at
            when followed.is_terminal then followed.next_at
            -- The next poll may have been after the end.
            else least(followed.next_at, followed.last_end_at)
        end as ended_at
    from followed
    left join job_absence
        on
            followed.experiment_id = job_absence.experiment_id
            and followed.job_key = job_absence.job_key
            and followed.task_id = job_absence.task_id
    where followed.is_on or followed.is_going
    union all
    -- Ended, and never seen with a machine: it had one only between two polls, or before the first poll.
    -- Recoveries may have waited for capacity, so SkyPilot's run time counts then.
    select
        bounded.experiment_id,
        bounded.condition_id,
        bounded.job_id,
        bounded.job_key,
        bounded.task_id,
        bounded.poll_id,
        'run' as phase,
        false as is_interrupted,
        bounded.cycle,
        bounded.start_at as ready_at,
        bounded.job_duration_s + coalesce((epoch_us(bounded.start_at) - epoch_us(bounded.launch_at)) / 1e6, 0)
            as run_s,
        bounded.start_at is null or bounded.end_at is null
        or (bounded.recovery_count > 0 and bounded.job_duration_s is not null) as is_by_run_s,
        bounded.price_usd_per_h,
        coalesce(
            bounded.launch_at,
            bounded.end_at - to_microseconds(cast(bounded.job_duration_s * 1e6 as bigint))
        ) as started_at,
        coalesce(bounded.end_at, bounded.seen_at) as ended_at
    from bounded
    where
        bounded.is_newest
        and bounded.is_terminal
        and not bounded.is_ever_on
        and not (bounded.is_unstarted and bounded.start_at is null and bounded.job_duration_s is null)
),

-- Clocks can jump backwards; a spell with an impossible duration has an unknown one.
measured as (
    select
        stretch.*,
        case
            when stretch.is_by_run_s then stretch.run_s
            when stretch.ended_at >= stretch.started_at - interval 5 minutes
                then greatest(0, epoch_us(stretch.ended_at) - epoch_us(stretch.started_at)) / 1e6
        end as machine_s
    from stretch
)

select
    measured.experiment_id,
    measured.condition_id,
    measured.job_id,
    measured.job_key,
    measured.task_id,
    measured.poll_id,
    measured.phase,
    measured.is_interrupted,
    measured.cycle,
    case
        when measured.phase = 'launch' then measured.machine_s
        when measured.phase = 'run' and measured.ready_at > measured.started_at
            then least(
                measured.machine_s, (epoch_us(measured.ready_at) - epoch_us(measured.started_at)) / 1e6
            )
        else 0
    end as launch_s,
    measured.machine_s,
    measured.price_usd_per_h,
    measured.started_at,
    measured.ended_at
from measured;

comment on view machine_spell is
'A period in which a job task had a machine; grain: experiment_id, job_key, task_id, poll_id';
comment on column machine_spell.experiment_id is 'the experiment [id]';
comment on column machine_spell.condition_id is 'the condition [id]';
comment on column machine_spell.job_id is 'SkyPilot''s managed job [id]';
comment on column machine_spell.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column machine_spell.task_id is 'task within the job [id]';
comment on column machine_spell.poll_id is 'the poll whose row it begins with [id]';
comment on column machine_spell.phase is
'launch, run (with a launch that no poll saw), recovery, or teardown: after the end until it was gone [name]';
comment on column machine_spell.is_interrupted is
'a run that a preemption or another recovery interrupted [bool]';
comment on column machine_spell.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column machine_spell.launch_s is 'the part of machine_s before the job ran; null = unknown [s]';
comment on column machine_spell.machine_s is 'how long the job had the machine; null = unknown [s]';
comment on column machine_spell.price_usd_per_h is 'price of the machine; null = unknown [USD/h]';
comment on column machine_spell.started_at is 'when it started; null = unknown [UTC]';
comment on column machine_spell.ended_at is 'when it ended; now if it is open [UTC]';
