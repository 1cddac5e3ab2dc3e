-- Every job task of the experiment with its newest row and its cost: SkyPilot's own for an ended job that its
-- cost report has, otherwise fmon's estimate.
create or replace view job as
with framed as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.task_id,
        job_observation.status_poll_id,
        job_observation.role,
        job_observation.reported_status,
        job_observation.status,
        job_observation.state,
        job_observation.step,
        job_observation.is_seen,
        job_observation.is_terminal,
        job_observation.is_failed,
        job_observation.is_newest,
        job_observation.cycle,
        job_observation.impossible_count,
        job_observation.job_duration_s,
        job_observation.seen_at,
        job_observation.submitted_at,
        job_observation.start_at,
        job_observation.end_at,
        first_value(job_observation.seen_at) over task as first_seen_at,
        last_value(
            case
                when job_observation.previous_status is distinct from job_observation.status
                    then job_observation.seen_at
            end
            ignore nulls
        ) over task as detected_at
    from job_observation
    window
        task as (
            partition by job_observation.experiment_id, job_observation.job_key, job_observation.task_id
            order by job_observation.poll_id
            rows between unbounded preceding and current row
        )
),

timed as (
    select
        framed.experiment_id,
        framed.condition_id,
        framed.job_id,
        framed.job_key,
        framed.task_id,
        framed.status_poll_id,
        framed.role,
        framed.reported_status,
        framed.status,
        case when framed.step = 'lost' then 'lost' else framed.state end as state,
        framed.is_seen,
        framed.is_terminal,
        framed.is_failed,
        framed.cycle,
        framed.impossible_count,
        case when framed.is_terminal then framed.job_duration_s end as ended_run_s,
        case
            when framed.start_at is not null then epoch_us(framed.start_at)
            when framed.state = 'running' then epoch_us(framed.seen_at) - framed.job_duration_s * 1e6
        end as begun_us,
        case
            when framed.is_terminal then epoch_us(framed.end_at)
            else epoch_us(coalesce(job_absence.last_seen_at, experiment.now_at))
        end as ended_us,
        framed.submitted_at,
        framed.start_at,
        framed.end_at,
        framed.first_seen_at,
        framed.detected_at,
        coalesce(job_absence.last_seen_at, experiment.last_ok_at) as last_seen_at,
        case
            when framed.step = 'lost' then framed.seen_at
            when framed.is_terminal then coalesce(framed.end_at, framed.detected_at)
            when framed.start_at is not null and framed.state = 'running' then framed.start_at
            when framed.start_at is null and framed.state = 'pending'
                then coalesce(framed.submitted_at, framed.first_seen_at)
            else framed.detected_at
        end as since_at
    from framed
    inner join experiment on framed.experiment_id = experiment.experiment_id
    left join job_absence
        on
            framed.experiment_id = job_absence.experiment_id
            and framed.job_key = job_absence.job_key
            and framed.task_id = job_absence.task_id
    where framed.is_newest
),

-- SkyPilot reports the cost of a job as a whole: it is divided among its tasks like the estimates or, if one
-- is unknown, like the machine times.
weighed as (
    select
        timed.experiment_id,
        timed.job_id,
        timed.job_key,
        timed.task_id,
        reported_cost.reported_usd,
        case
            when
                count(machine_time.estimate_usd) over job = count(*) over job
                and sum(machine_time.estimate_usd) over job > 0
                then cast(machine_time.estimate_usd as double)
            when
                count(machine_time.machine_s) over job = count(*) over job
                and sum(machine_time.machine_s) over job > 0
                then machine_time.machine_s
            else if(row_number() over task = 1, 1, 0)
        end as weight
    from timed
    inner join reported_cost
        on timed.experiment_id = reported_cost.experiment_id and timed.job_key = reported_cost.job_key
    inner join machine_time
        on
            timed.experiment_id = machine_time.experiment_id
            and timed.job_key = machine_time.job_key
            and timed.task_id = machine_time.task_id
    window
        job as (partition by timed.experiment_id, timed.job_key),
        task as (partition by timed.experiment_id, timed.job_key order by timed.task_id)
    -- A job that runs again costs more than SkyPilot reported.
    qualify bool_and(timed.is_terminal) over job
),

cumulated as (
    select
        weighed.experiment_id,
        weighed.job_id,
        weighed.job_key,
        weighed.task_id,
        cast(
            weighed.reported_usd * sum(weighed.weight) over task / sum(weighed.weight) over job
            as decimal(18, 4)
        ) as until_usd
    from weighed
    window
        job as (partition by weighed.experiment_id, weighed.job_key),
        task as (partition by weighed.experiment_id, weighed.job_key order by weighed.task_id)
),

reported as (
    select
        cumulated.experiment_id,
        cumulated.job_id,
        cumulated.job_key,
        cumulated.task_id,
        cumulated.until_usd - coalesce(
            lag(cumulated.until_usd) over (
                partition by cumulated.experiment_id, cumulated.job_key
                order by cumulated.task_id
            ),
            0
        ) as reported_usd
    from cumulated
)

select
    timed.experiment_id,
    timed.condition_id,
    timed.job_id,
    timed.job_key,
    timed.task_id,
    snapshot.job_name,
    snapshot.task_name,
    timed.role,
    timed.reported_status,
    timed.status,
    timed.state,
    snapshot.details,
    snapshot.failure_reason,
    snapshot.resources,
    snapshot.cloud,
    snapshot.region,
    snapshot.zone,
    snapshot.price_source,
    timed.is_seen,
    timed.is_terminal,
    timed.is_failed,
    timed.cycle,
    timed.impossible_count,
    snapshot.machine,
    snapshot.recovery_count,
    -- SkyPilot's own value first: it excludes recoveries, which end_at - start_at can't.
    case
        when timed.ended_run_s is not null then timed.ended_run_s
        when timed.ended_us >= timed.begun_us then (timed.ended_us - timed.begun_us) / 1e6
    end as run_s,
    machine_time.machine_s,
    machine_time.price_usd_per_h,
    machine_time.estimate_usd,
    cast(reported.reported_usd as decimal(18, 4)) as reported_usd,
    cast(coalesce(reported.reported_usd, machine_time.estimate_usd) as decimal(18, 4)) as cost_usd,
    timed.submitted_at,
    timed.start_at,
    timed.end_at,
    timed.since_at,
    timed.first_seen_at,
    timed.detected_at,
    timed.last_seen_at
from timed
inner join snapshot
    on
        timed.experiment_id = snapshot.experiment_id
        and timed.job_key = snapshot.job_key
        and timed.task_id = snapshot.task_id
        and timed.status_poll_id = snapshot.poll_id
inner join machine_time
    on
        timed.experiment_id = machine_time.experiment_id
        and timed.job_key = machine_time.job_key
        and timed.task_id = machine_time.task_id
left join reported
    on
        timed.experiment_id = reported.experiment_id
        and timed.job_key = reported.job_key
        and timed.task_id = reported.task_id;

comment on view job is
'A job task as last seen; no row if never seen; grain: experiment_id, job_key, task_id';
comment on column job.experiment_id is 'the experiment [id]';
comment on column job.condition_id is 'the condition it belongs to [id]';
comment on column job.job_id is 'SkyPilot''s managed job [id]';
comment on column job.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column job.task_id is 'task within the job; 0 for a job of one task [id]';
comment on column job.job_name is 'the job''s name; not unique [name]';
comment on column job.task_name is 'the task''s name [name]';
comment on column job.role is
'attempt, superseded (ended earlier in the same cycle) or duplicate (not in the manifest) [name]';
comment on column job.reported_status is
'SkyPilot''s status, unchanged; for an absent job the last known one [name]';
comment on column job.status is
'effective status: SkyPilot''s, or the first ending if SkyPilot overwrote it [name]';
comment on column job.state is
'pending, running (also unknown statuses), succeeded, failed, cancelled, lost (open, not listed) [name]';
comment on column job.details is 'details reported by SkyPilot [text]';
comment on column job.failure_reason is 'reason for the failure, as reported by SkyPilot [text]';
comment on column job.resources is 'requested resources [text]';
comment on column job.cloud is 'cloud it runs on [name]';
comment on column job.region is 'region it runs in [name]';
comment on column job.zone is 'zone it runs in [name]';
comment on column job.price_source is 'source of the price: config or catalog [name]';
comment on column job.is_seen is 'it is in the newest answer of the queue [bool]';
comment on column job.is_terminal is 'no further change possible; false if unknown [bool]';
comment on column job.is_failed is 'ended without success; a cancelled job did not fail [bool]';
comment on column job.cycle is
'0 = first launch, 1 and 2 = relaunches; a duplicate counts in the newest [count]';
comment on column job.impossible_count is
'impossible times and durations in its newest record, see view impossible_time [count]';
comment on column job.machine is 'resources of its current machine; null = none, or not reported [text]';
comment on column job.recovery_count is 'number of recoveries [count]';
comment on column job.run_s is
'run time so far, with setup, without provisioning; null = not started, or unknown [s]';
comment on column job.machine_s is 'time with a machine, see view machine_time; null = unknown [s]';
comment on column job.price_usd_per_h is 'price of its newest machine; null = unknown [USD/h]';
comment on column job.estimate_usd is 'fmon''s estimate, see view machine_time; null = unknown [USD]';
comment on column job.reported_usd is
'its cost in SkyPilot''s cost report; null = not ended, not queried, or no cost there [USD]';
comment on column job.cost_usd is 'reported_usd, otherwise estimate_usd; null = unknown [USD]';
comment on column job.submitted_at is 'when it was submitted to SkyPilot [UTC]';
comment on column job.start_at is 'when it was first RUNNING [UTC]';
comment on column job.end_at is 'when it became terminal [UTC]';
comment on column job.since_at is
'when its current state began: SkyPilot''s time, otherwise the first poll that saw it [UTC]';
comment on column job.first_seen_at is 'first poll that saw it [UTC]';
comment on column job.detected_at is 'first poll that showed its current status [UTC]';
comment on column job.last_seen_at is 'newest successful poll that saw it [UTC]';
