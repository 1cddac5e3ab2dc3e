-- How every attempt ended, and the root cause if it failed. Open and cancelled attempts have no result and
-- are left out. Clusters and suspects count one result per condition: its newest, in any cycle. So the
-- successes of earlier cycles remain as counter-evidence to the failures of the newest one.
create or replace view attempt_result as
with ended as (
    select
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        -- The first failed task determines the result.
        arg_min(
            (job_observation.task_id, job_observation.poll_id),
            (
                not job_observation.is_failed,
                coalesce(job_observation.end_at, job_observation.seen_at),
                job_observation.task_id
            )
        ) as decider,
        job_observation.role,
        bool_or(job_observation.is_failed) as is_failed,
        job_observation.cycle
    from job_observation
    where job_observation.is_newest and job_observation.role <> 'duplicate'
    group by
        job_observation.experiment_id,
        job_observation.condition_id,
        job_observation.job_id,
        job_observation.job_key,
        job_observation.role,
        job_observation.cycle
    -- One failed task makes the job a failure, even if other tasks still run.
    having bool_or(job_observation.is_failed) or bool_and(job_observation.state = 'succeeded')
)

select
    ended.experiment_id,
    ended.condition_id,
    ended.job_id,
    ended.job_key,
    snapshot.task_id,
    case when ended.is_failed then coalesce(finding.root_cause_id, 'unknown/unexamined') end as root_cause_id,
    case when ended.is_failed then coalesce(finding.category, 'unknown') end as category,
    ended.role,
    snapshot.region,
    snapshot.zone,
    ended.is_failed,
    row_number() over (
        partition by ended.experiment_id, ended.condition_id
        order by ended.cycle desc, ended.role asc, ended.job_key desc
    ) = 1 as is_newest,
    ended.cycle
from ended
inner join snapshot
    on
        ended.experiment_id = snapshot.experiment_id
        and ended.job_key = snapshot.job_key
        and ended.decider[1] = snapshot.task_id
        and ended.decider[2] = snapshot.poll_id
left join finding
    on
        ended.experiment_id = finding.experiment_id
        and ended.job_key = finding.job_key
        and ended.decider[1] = finding.task_id;

comment on view attempt_result is
'The result of an attempt; open and cancelled attempts have none; grain: experiment_id, job_key';
comment on column attempt_result.experiment_id is 'the experiment [id]';
comment on column attempt_result.condition_id is 'the condition [id]';
comment on column attempt_result.job_id is 'its managed job [id]';
comment on column attempt_result.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column attempt_result.task_id is
'the task that determines the result: the first that failed [id]';
comment on column attempt_result.root_cause_id is
'the root cause; unknown/unexamined = not examined yet; null = it succeeded [id]';
comment on column attempt_result.category is 'root cause category; null = succeeded [name]';
comment on column attempt_result.role is 'attempt or superseded, see view job [name]';
comment on column attempt_result.region is 'region it ran in; null = unknown or none [name]';
comment on column attempt_result.zone is 'zone it ran in; null = unknown or none [name]';
comment on column attempt_result.is_failed is 'it failed; false = it succeeded [bool]';
comment on column attempt_result.is_newest is 'the newest result of its condition [bool]';
comment on column attempt_result.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
