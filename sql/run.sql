-- The attempt that each MLflow run belongs to. A run with tags for experiment, condition and cycle (fmon
-- launch sets them) is trusted. A run with only a condition or a job must have started while that job could
-- run, because names are reused, and so are job ids after a controller was lost.
create or replace view run as
with spanned as (
    select
        attempt.experiment_id,
        attempt.condition_id,
        attempt.job_id,
        attempt.job_key,
        attempt.cycle,
        entry.job_name,
        min(job.submitted_at) as submitted_at,
        case when bool_and(job.is_terminal) then max(job.end_at) end as end_at
    from attempt
    inner join entry
        on attempt.experiment_id = entry.experiment_id and attempt.condition_id = entry.condition_id
    left join job
        on attempt.experiment_id = job.experiment_id and attempt.job_key = job.job_key
    group by
        attempt.experiment_id,
        attempt.condition_id,
        attempt.job_id,
        attempt.job_key,
        attempt.cycle,
        entry.job_name
),

told as (
    select
        tracked_run.experiment_id,
        tracked_run.run_id,
        tracked_run.condition_tag,
        tracked_run.experiment_tag,
        tracked_run.cycle_tag,
        tracked_run.started_at,
        -- $SKYPILOT_TASK_ID of a managed job ends in _<job>-<task>.
        try_cast(
            case
                when regexp_full_match(tracked_run.job_tag, '[0-9]+') then tracked_run.job_tag
                else nullif(regexp_extract(tracked_run.job_tag, '_([0-9]+)-[0-9]+$', 1), '')
            end as bigint
        ) as job_id
    from tracked_run
    where tracked_run.experiment_tag is null or tracked_run.experiment_tag = tracked_run.experiment_id
),

paired as (
    select
        told.*,
        spanned.condition_id,
        spanned.job_id as attempt_job_id,
        spanned.job_key,
        spanned.cycle,
        'condition' as joined_by,
        spanned.submitted_at,
        spanned.end_at
    from told
    inner join spanned
        on told.experiment_id = spanned.experiment_id and told.condition_tag = spanned.condition_id

    union all

    select
        told.*,
        spanned.condition_id,
        spanned.job_id as attempt_job_id,
        spanned.job_key,
        spanned.cycle,
        'job_name' as joined_by,
        spanned.submitted_at,
        spanned.end_at
    from told
    inner join spanned
        on told.experiment_id = spanned.experiment_id and told.condition_tag = spanned.job_name

    union all

    select
        told.*,
        spanned.condition_id,
        spanned.job_id as attempt_job_id,
        spanned.job_key,
        spanned.cycle,
        'job' as joined_by,
        spanned.submitted_at,
        spanned.end_at
    from told
    inner join spanned
        on told.experiment_id = spanned.experiment_id and told.job_id = spanned.job_id
),

-- Two clocks are involved, so allow five minutes on either side.
joined as (
    select
        paired.experiment_id,
        paired.run_id,
        paired.condition_id,
        paired.attempt_job_id as job_id,
        paired.job_key,
        paired.cycle,
        paired.joined_by
    from paired
    where
        coalesce(paired.cycle_tag = paired.cycle, true)
        and (
            paired.experiment_tag is not null and paired.cycle_tag is not null
            or paired.started_at between paired.submitted_at - interval 5 minutes
            and coalesce(paired.end_at + interval 5 minutes, 'infinity')
        )
    qualify
        row_number() over (
            partition by paired.experiment_id, paired.run_id
            order by
                list_position(['condition', 'job_name', 'job'], paired.joined_by) asc,
                paired.submitted_at desc nulls last,
                paired.job_key desc
        ) = 1
)

select
    tracked_run.experiment_id,
    tracked_run.run_id,
    joined.condition_id,
    joined.job_id,
    joined.job_key,
    tracked_run.run_name,
    tracked_run.status,
    joined.joined_by,
    tracked_run.parent_run_id,
    tracked_run.url,
    tracked_run.metrics,
    coalesce(
        row_number() over (
            partition by joined.experiment_id, joined.condition_id
            order by
                tracked_run.parent_run_id is not null asc,
                joined.cycle desc,
                tracked_run.started_at desc nulls last,
                tracked_run.run_id asc
        ) = 1
        and joined.condition_id is not null,
        false
    ) as is_newest,
    joined.cycle,
    tracked_run.started_at,
    tracked_run.ended_at,
    tracked_run.read_at
from tracked_run
left join joined
    on tracked_run.experiment_id = joined.experiment_id and tracked_run.run_id = joined.run_id
where tracked_run.experiment_tag is null or tracked_run.experiment_tag = tracked_run.experiment_id;

comment on view run is
'An MLflow run tagged with this experiment, its conditions or its jobs; grain: experiment_id, run_id';
comment on column run.experiment_id is 'the experiment [id]';
comment on column run.run_id is 'MLflow''s id of the run [id]';
comment on column run.condition_id is 'the condition of the run; null = none of the experiment [id]';
comment on column run.job_id is 'the managed job that wrote it; null = none of the experiment [id]';
comment on column run.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column run.run_name is 'its name in MLflow [name]';
comment on column run.status is 'MLflow''s status: RUNNING, FINISHED, FAILED, KILLED ... [name]';
comment on column run.joined_by is
'condition or job_name (the condition tag), or job (the job tag); null = not joined [name]';
comment on column run.parent_run_id is 'the parent run; null = none [id]';
comment on column run.url is 'URL of its page; null = the tracking store has none [text]';
comment on column run.metrics is 'metric -> last value, for the configured metrics [text]';
comment on column run.is_newest is 'the newest run of its condition; nested runs count last [bool]';
comment on column run.cycle is 'cycle of that job [count]';
comment on column run.started_at is 'when it began [UTC]';
comment on column run.ended_at is 'when it ended; null = it has not [UTC]';
comment on column run.read_at is 'when MLflow was queried [UTC]';
