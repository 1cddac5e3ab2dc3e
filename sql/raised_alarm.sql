-- Problems that a person should check now (cleared_at is null) or should have checked in the past: an
-- experiment can waste money without a single failure. The first successful poll in which an episode has
-- reached its threshold raises its alarm. raised_alarm(true) drops ended episodes before the search, because
-- hardly any episode of a year is still active. View alarm has all.
create or replace macro raised_alarm(lasting_only) as table
    with due as (
        select
            episode.kind,
            episode.severity,
            episode.wording,
            episode.experiment_id,
            episode.condition_id,
            episode.job_id,
            episode.job_key,
            episode.task_id,
            episode.poll_id,
            episode.cleared_poll_id,
            episode.status,
            episode.cycle,
            episode.threshold_s as threshold,
            episode.seen_at,
            episode.started_at,
            -- 1e10 s are 300 years: a larger threshold must not overflow the timestamp.
            episode.started_at
            + to_microseconds(cast(least(episode.threshold_s, 1e10) * 1e6 as bigint)) as due_at,
            case
                when episode.kind = 'lost' and lost_job_closure.closed_at is not null
                    then least(clearing.polled_at, lost_job_closure.closed_at)
                else clearing.polled_at
            end as cleared_at
        from alarm_episode as episode
        asof left join lost_job_closure
            on
                episode.experiment_id = lost_job_closure.experiment_id
                and episode.job_key = lost_job_closure.job_key
                and episode.seen_at <= lost_job_closure.closed_at
        left join heartbeat as clearing
            on episode.experiment_id = clearing.experiment_id and episode.cleared_poll_id = clearing.poll_id
        where
            episode.threshold_s is not null
            and (episode.cleared_poll_id is null or not lasting_only)
    ),

    -- If the threshold was already reached in the first poll, no search is needed, which skips most polls.
    searched_from as (
        select
            due.experiment_id,
            min(due.poll_id) as poll_id
        from due
        where due.due_at > due.seen_at
        group by due.experiment_id
    ),

    following as (
        select
            heartbeat.experiment_id,
            heartbeat.poll_id,
            heartbeat.is_ok,
            heartbeat.polled_at,
            lag(heartbeat.polled_at) over in_order as previous_at
        from heartbeat
        inner join searched_from
            on
                heartbeat.experiment_id = searched_from.experiment_id
                and heartbeat.poll_id >= searched_from.poll_id
        window in_order as (partition by heartbeat.experiment_id order by heartbeat.poll_id)
    ),

    answered as (
        select
            following.experiment_id,
            following.poll_id,
            following.polled_at,
            -- Not count(*) filter: DuckDB 2.0 needs quadratic time for it over a window.
            count(case when following.polled_at < following.previous_at then 1 end) over in_order
                as step_back_count
        from following
        window
            in_order as (
                partition by following.experiment_id
                order by following.poll_id
                rows between unbounded preceding and current row
            )
        qualify following.is_ok
    ),

    -- After the clock jumps backwards, times repeat. Between two jumps time and poll_id grow together, and
    -- one asof join finds the first poll that reached the threshold.
    clock_run as (
        select
            answered.experiment_id,
            answered.step_back_count,
            min(answered.poll_id) as first_poll_id,
            max(answered.poll_id) as last_poll_id,
            max(answered.polled_at) as last_polled_at
        from answered
        group by answered.experiment_id, answered.step_back_count
    ),

    -- Episodes that reached their threshold while they lasted, according to the times between two clock
    -- jumps.
    waiting as (
        select
            due.kind,
            due.experiment_id,
            due.job_id,
            due.job_key,
            due.task_id,
            due.poll_id,
            due.cleared_poll_id,
            due.due_at,
            clock_run.step_back_count
        from due
        inner join clock_run
            on
                due.experiment_id = clock_run.experiment_id
                and due.poll_id < clock_run.last_poll_id
                and coalesce(due.cleared_poll_id > clock_run.first_poll_id, true)
                and due.due_at <= case
                    when due.cleared_poll_id <= clock_run.last_poll_id then due.cleared_at
                    else clock_run.last_polled_at
                end
        where due.due_at > due.seen_at
    ),

    reached as (
        select
            waiting.kind,
            waiting.experiment_id,
            waiting.job_id,
            waiting.job_key,
            waiting.task_id,
            waiting.poll_id,
            min(answered.poll_id) as raised_poll_id
        from waiting
        asof inner join answered
            on
                waiting.experiment_id = answered.experiment_id
                and waiting.step_back_count = answered.step_back_count
                and waiting.due_at <= answered.polled_at
        where coalesce(answered.poll_id < waiting.cleared_poll_id, true)
        group by
            waiting.kind,
            waiting.experiment_id,
            waiting.job_id,
            waiting.job_key,
            waiting.task_id,
            waiting.poll_id
    ),

    raised as (
        select
            due.kind,
            due.severity,
            due.wording,
            due.experiment_id,
            due.condition_id,
            due.job_id,
            due.job_key,
            due.task_id,
            due.status,
            due.cycle,
            due.started_at,
            due.threshold,
            coalesce(reached.raised_poll_id, due.poll_id) as raised_poll_id,
            raising.polled_at as raised_at,
            due.cleared_at,
            greatest(
                0, epoch_us(coalesce(due.cleared_at, experiment.now_at)) - epoch_us(due.started_at)
            ) / 1e6 as value
        from due
        inner join experiment on due.experiment_id = experiment.experiment_id
        left join reached
            on
                due.kind = reached.kind
                and due.experiment_id = reached.experiment_id
                and due.job_key = reached.job_key
                and due.task_id = reached.task_id
                and due.poll_id = reached.poll_id
        inner join heartbeat as raising
            on
                due.experiment_id = raising.experiment_id
                and coalesce(reached.raised_poll_id, due.poll_id) = raising.poll_id
        where reached.raised_poll_id is not null or due.due_at <= due.seen_at
    )

    select
        raised.experiment_id,
        raised.condition_id,
        raised.job_id,
        raised.job_key,
        raised.task_id,
        raised.raised_poll_id,
        raised.kind,
        raised.severity,
        raised.condition_id || ': job ' || raised.job_id || ' ' || raised.wording
        || case
            when raised.kind = 'unknown_status' then ': ' || raised.status
            when raised.threshold > 0
                then format(
                    ' for {:.1f} min, alarm after {:.1f} min', raised.value / 60, raised.threshold / 60
                )
            else ''
        end as message,
        raised.cycle,
        's' as unit,
        raised.value,
        raised.threshold,
        raised.started_at,
        raised.raised_at,
        raised.cleared_at
    from raised;

comment on macro table raised_alarm is -- noqa: PRS
'A problem for a person to check, now or before, all or only active ones; grain: experiment_id, kind, job_key, task_id, raised_poll_id
experiment_id: the experiment [id]
condition_id: the condition [id]
job_id: its managed job [id]
job_key: key of the job: its id, unless SkyPilot reused that id [id]
task_id: task within the job [id]
raised_poll_id: the poll that raised it [id]
kind: failed_setup, pending_too_long, starting_too_long, flapping, overrun, lost, duplicate, reopened, status_changed, wrong_variables or unknown_status [name]
severity: critical or warning [name]
message: the alarm as a sentence [text]
cycle: 0 = first launch, 1 and 2 = relaunches [count]
unit: unit of value and threshold [name]
value: how long the state has lasted, up to cleared_at or now [own]
threshold: how long it may last; 0 = any duration raises an alarm [own]
started_at: when the state began: SkyPilot''s time, otherwise the first poll that saw it [UTC]
raised_at: first successful poll at or after started_at + threshold that still saw it [UTC]
cleared_at: poll that showed its end; null while it lasts [UTC]';
