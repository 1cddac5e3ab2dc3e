-- Job tasks that keep losing their machines: they return to PENDING, STARTING or RECOVERING again and again,
-- so that they never reach the threshold for one of these statuses. Each is an alarm episode: it begins with
-- the change that reaches the limit within 6 hours, and lasts until the job ends, leaves the queue, or does
-- not change for 6 hours.
create or replace view flapping as
with entered as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.poll_id,
        job_observation.reported_status,
        job_observation.is_seen and not job_observation.is_terminal as is_open,
        job_observation.cycle,
        job_observation.seen_at,
        job_observation.recovery_count,
        job_observation.reported_status <> job_observation.previous_reported_status
        and job_observation.step in ('waiting', 'starting') as is_step_back,
        job_observation.reported_status <> job_observation.previous_reported_status
        and job_observation.phase = 'recovery' as is_recovery
    from job_observation
    where job_observation.role <> 'duplicate'
),

-- SkyPilot counts a recovery once it is done, so there may be several between two polls.
recovered as (
    select
        entered.experiment_id,
        entered.condition_id,
        entered.job_id,
        entered.job_key,
        entered.task_id,
        entered.poll_id,
        entered.reported_status,
        entered.is_open,
        entered.cycle,
        entered.seen_at,
        entered.is_step_back,
        greatest(
            count(case when entered.is_recovery then 1 end) over so_far,
            coalesce(max(entered.recovery_count) over so_far, 0)
        ) as recovery_count
    from entered
    window
        so_far as (
            partition by entered.experiment_id, entered.job_key, entered.task_id
            order by entered.poll_id
            rows between unbounded preceding and current row
        )
),

stepped as (
    select
        recovered.experiment_id,
        recovered.condition_id,
        recovered.job_id,
        recovered.job_key,
        recovered.task_id,
        recovered.poll_id,
        recovered.reported_status,
        recovered.is_open,
        recovered.cycle,
        recovered.seen_at,
        if(recovered.is_step_back, 1, 0)
        + recovered.recovery_count
        - coalesce(lag(recovered.recovery_count) over task, recovered.recovery_count) as change_count
    from recovered
    window
        task as (
            partition by recovered.experiment_id, recovered.job_key, recovered.task_id
            order by recovered.poll_id
        )
),

summed as (
    select
        stepped.experiment_id,
        stepped.condition_id,
        stepped.job_id,
        stepped.job_key,
        stepped.task_id,
        stepped.poll_id,
        stepped.reported_status,
        stepped.is_open,
        stepped.cycle,
        stepped.seen_at,
        cast(sum(stepped.change_count) over recent as bigint) as recent_count
    from stepped
    where stepped.change_count > 0 or not stepped.is_open
    window
        recent as (
            partition by stepped.experiment_id, stepped.job_key, stepped.task_id
            order by stepped.seen_at
            range between interval 6 hours preceding and current row
        )
),

judged as (
    select
        summed.experiment_id,
        summed.condition_id,
        summed.job_id,
        summed.job_key,
        summed.task_id,
        summed.poll_id,
        summed.reported_status,
        summed.cycle,
        summed.seen_at,
        summed.recent_count,
        summed.is_open and summed.recent_count >= experiment.flapping_threshold as is_on
    from summed
    inner join experiment on summed.experiment_id = experiment.experiment_id
    where experiment.flapping_threshold > 0
),

bounded as (
    select
        judged.experiment_id,
        judged.condition_id,
        judged.job_id,
        judged.job_key,
        judged.task_id,
        judged.poll_id,
        judged.reported_status,
        judged.cycle,
        judged.seen_at,
        judged.recent_count,
        judged.is_on,
        not coalesce(lag(judged.is_on) over task, false)
        or judged.seen_at > lag(judged.seen_at) over task + interval 6 hours as is_first,
        case
            when coalesce(lead(judged.seen_at) over task <= judged.seen_at + interval 6 hours, false)
                then case when not lead(judged.is_on) over task then lead(judged.poll_id) over task end
        end as next_poll_id,
        coalesce(lead(judged.seen_at) over task > judged.seen_at + interval 6 hours, true) as is_calm_next
    from judged
    window
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

numbered as (
    select
        bounded.experiment_id,
        bounded.condition_id,
        bounded.job_id,
        bounded.job_key,
        bounded.task_id,
        bounded.poll_id,
        bounded.reported_status,
        bounded.cycle,
        bounded.seen_at,
        bounded.recent_count,
        if(bounded.is_calm_next, answered.poll_id, bounded.next_poll_id) as cleared_poll_id,
        count(case when bounded.is_first then 1 end) over in_order as episode_number
    from bounded
    asof left join answered
        on
            bounded.experiment_id = answered.experiment_id
            and bounded.seen_at + interval 6 hours <= answered.polled_at
    where bounded.is_on
    window
        in_order as (
            partition by bounded.experiment_id, bounded.job_key, bounded.task_id
            order by bounded.poll_id
            rows between unbounded preceding and current row
        )
)

select
    numbered.experiment_id,
    any_value(numbered.condition_id) as condition_id,
    any_value(numbered.job_id) as job_id,
    numbered.job_key,
    numbered.task_id,
    min(numbered.poll_id) as poll_id,
    max(numbered.cleared_poll_id) as cleared_poll_id,
    arg_min(numbered.reported_status, numbered.poll_id) as status,
    any_value(numbered.cycle) as cycle,
    max(numbered.recent_count) as change_count,
    min(numbered.seen_at) as seen_at
from numbered
group by numbered.experiment_id, numbered.job_key, numbered.task_id, numbered.episode_number;

comment on view flapping is
'A period in which a job task kept losing its machines; grain: experiment_id, job_key, task_id, poll_id';
comment on column flapping.experiment_id is 'the experiment [id]';
comment on column flapping.condition_id is 'the condition [id]';
comment on column flapping.job_id is 'its managed job [id]';
comment on column flapping.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column flapping.task_id is 'task within the job [id]';
comment on column flapping.poll_id is 'the poll that showed the change that reached the limit [id]';
comment on column flapping.cleared_poll_id is 'the poll that showed its end; null while it lasts [id]';
comment on column flapping.status is 'SkyPilot''s status when it began [name]';
comment on column flapping.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column flapping.change_count is 'highest number of changes within 6 hours [count]';
comment on column flapping.seen_at is 'time of that poll [UTC]';
