-- Every condition of the manifest, including missing ones, with the state of its newest attempt.
create or replace view condition as
with newest_attempt as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        attempt.job_id,
        attempt.job_key,
        attempt.cycle
    from attempt
    where attempt.role = 'attempt'
    qualify
        row_number() over (
            partition by attempt.experiment_id, attempt.condition_id
            order by attempt.cycle desc, attempt.job_key desc
        ) = 1
),

-- A job with several tasks has the state of its worst task: one failed task makes it failed, one lost task
-- lost.
ranked as (
    select
        job.experiment_id,
        job.job_id,
        job.job_key,
        job.task_id,
        job.status,
        job.state,
        job.failure_reason,
        finding.category,
        -- Lost for good: a person has checked that it ended, since it was lost.
        job.is_terminal or (job.state = 'lost' and lost_job_closure.job_key is not null) as is_terminal,
        job.recovery_count,
        job.run_s,
        job.run_s is null and job.impossible_count > 0 as is_impossible,
        job.submitted_at,
        job.start_at,
        job.end_at,
        job.since_at,
        list_position(
            ['failed', 'lost', 'running', 'pending', 'cancelled', 'succeeded'], job.state
        ) as task_rank
    from job
    left join finding
        on
            job.experiment_id = finding.experiment_id
            and job.job_key = finding.job_key
            and job.task_id = finding.task_id
            and job.is_failed  -- it may have run again since
    asof left join lost_job_closure
        on
            job.experiment_id = lost_job_closure.experiment_id
            and job.job_key = lost_job_closure.job_key
            and job.since_at <= lost_job_closure.closed_at
    where job.role <> 'duplicate'
),

tried as (
    select
        ranked.experiment_id,
        ranked.job_id,
        ranked.job_key,
        arg_min(ranked.status, (ranked.task_rank, ranked.task_id)) as status,
        -- Between two tasks of a pipeline the next one waits, but the job is running.
        case
            when arg_min(ranked.state, ranked.task_rank) = 'pending' and bool_or(ranked.is_terminal)
                then 'running'
            else arg_min(ranked.state, ranked.task_rank)
        end as state,
        any_value(ranked.failure_reason order by ranked.task_rank, ranked.task_id) as failure_reason,
        -- As in view attempt_result, the task that failed first.
        any_value(ranked.category order by ranked.task_rank, ranked.since_at, ranked.task_id) as category,
        bool_and(ranked.is_terminal) as is_terminal,
        sum(ranked.recovery_count) as recovery_count,
        case when not bool_or(ranked.is_impossible) then sum(ranked.run_s) end as run_s,
        min(ranked.submitted_at) as submitted_at,
        min(ranked.start_at) as start_at,
        case when bool_and(ranked.is_terminal) then max(ranked.end_at) end as end_at,
        arg_min(ranked.since_at, (ranked.task_rank, ranked.task_id)) as since_at
    from ranked
    group by ranked.experiment_id, ranked.job_id, ranked.job_key
),

-- A job with several tasks has one cost, and one failed task is enough to waste all of it.
billed as (
    select
        job.experiment_id,
        job.condition_id,
        job.job_id,
        job.job_key,
        sum(job.cost_usd) as cost_usd,
        bool_or(job.cost_usd is null) as is_unpriced,
        bool_or(job.is_failed and job.role <> 'duplicate') as is_wasted
    from job
    group by job.experiment_id, job.condition_id, job.job_id, job.job_key
),

spent as (
    select
        billed.experiment_id,
        billed.condition_id,
        sum(billed.cost_usd) as cost_usd,
        case
            when count(*) filter (where billed.is_wasted) = 0 then 0
            else sum(billed.cost_usd) filter (where billed.is_wasted)
        end as wasted_usd,
        count(*) filter (where billed.is_unpriced) as unpriced_count
    from billed
    group by billed.experiment_id, billed.condition_id
)

select
    entry.experiment_id,
    entry.condition_id,
    newest_attempt.job_id,
    newest_attempt.job_key,
    entry.kind,
    entry.job_name,
    entry.factors,
    -- A job that is in the manifest but in no poll yet is pending.
    case
        when newest_attempt.job_key is null then 'missing' else coalesce(tried.state, 'pending')
    end as state,
    tried.status,
    tried.category,
    tried.failure_reason,
    coalesce(tried.is_terminal, false) as is_terminal,
    entry.manifest_position,
    newest_attempt.cycle,
    cast(tried.recovery_count as bigint) as recovery_count,
    coalesce(spent.unpriced_count, 0) as unpriced_count,
    tried.run_s,
    entry.expected_s,
    -- All its jobs in all cycles, including superseded ones and duplicates: the total cost of the condition.
    cast(case when spent.experiment_id is null then 0 else spent.cost_usd end as decimal(18, 4)) as cost_usd,
    cast(
        case when spent.experiment_id is null then 0 else spent.wasted_usd end as decimal(18, 4)
    ) as wasted_usd,
    tried.submitted_at,
    tried.start_at,
    tried.end_at,
    tried.since_at
from entry
left join newest_attempt
    on entry.experiment_id = newest_attempt.experiment_id and entry.condition_id = newest_attempt.condition_id
left join tried
    on newest_attempt.experiment_id = tried.experiment_id and newest_attempt.job_key = tried.job_key
left join spent
    on entry.experiment_id = spent.experiment_id and entry.condition_id = spent.condition_id;

comment on view condition is
'A condition of the manifest with the state of its newest attempt; grain: experiment_id, condition_id';
comment on column condition.experiment_id is 'the experiment [id]';
comment on column condition.condition_id is 'one cell of the grid, or one baseline [id]';
comment on column condition.job_id is 'managed job of the newest attempt; null = missing [id]';
comment on column condition.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column condition.kind is 'grid or baseline [name]';
comment on column condition.job_name is 'the exact name of its jobs [name]';
comment on column condition.factors is 'factor -> level [text]';
comment on column condition.state is
'missing (never launched), pending, running, succeeded, failed, cancelled or lost [name]';
comment on column condition.status is
'SkyPilot''s status of the task that determines the state; null = never seen [name]';
comment on column condition.category is
'root cause category of the failure; null = not failed or not examined yet [name]';
comment on column condition.failure_reason is 'reason for the failure, as reported by SkyPilot [text]';
comment on column condition.is_terminal is
'all tasks of the newest attempt have ended, or a person closed them after the queue lost them [bool]';
comment on column condition.manifest_position is 'position in the manifest [count]';
comment on column condition.cycle is 'cycle of the newest attempt; null = missing [count]';
comment on column condition.recovery_count is 'recoveries of the newest attempt [count]';
comment on column condition.unpriced_count is 'jobs whose cost is unknown [count]';
comment on column condition.run_s is
'run time of the newest attempt, sum over its tasks, see view job [s]';
comment on column condition.expected_s is 'expected run time; null = not in the config [s]';
comment on column condition.cost_usd is
'known cost of all its jobs and cycles, including duplicates; null = no cost is known [USD]';
comment on column condition.wasted_usd is
'part of cost_usd: the cost of failed attempts; null = no cost is known [USD]';
comment on column condition.submitted_at is 'when the newest attempt was submitted [UTC]';
comment on column condition.start_at is 'when the newest attempt was first RUNNING [UTC]';
comment on column condition.end_at is 'when all tasks of the newest attempt had ended [UTC]';
comment on column condition.since_at is 'when its current state began; null = never seen [UTC]';
