-- How every attempt ended, and of what it failed. Open and cancelled attempts say nothing and are left out.
-- What clusters and suspects count over: one verdict per condition, its newest, whatever the cycle. So the
-- successes of earlier cycles stay as counter-evidence beside the failures of the newest one.
create or replace view verdict as
with ended as (
    select
        sighting.experiment_id,
        sighting.condition_id,
        sighting.job_id,
        -- The task that decides: the first that failed.
        arg_min(
            (sighting.task_id, sighting.poll_id),
            (not sighting.is_failed, coalesce(sighting.end_at, sighting.seen_at), sighting.task_id)
        ) as decider,
        sighting.role,
        bool_or(sighting.is_failed) as is_failed,
        sighting.cycle
    from sighting
    where sighting.is_newest and sighting.role <> 'duplicate'
    group by
        sighting.experiment_id, sighting.condition_id, sighting.job_id, sighting.role, sighting.cycle
    -- One failed task fails the job, whatever the others still do.
    having bool_or(sighting.is_failed) or bool_and(sighting.state = 'succeeded')
)

select
    ended.experiment_id,
    ended.condition_id,
    ended.job_id,
    snapshot.task_id,
    case when ended.is_failed then coalesce(finding.root_cause_id, 'unknown/unexamined') end as root_cause_id,
    case when ended.is_failed then coalesce(finding.category, 'unknown') end as category,
    ended.role,
    snapshot.region,
    snapshot.zone,
    ended.is_failed,
    row_number() over (
        partition by ended.experiment_id, ended.condition_id
        order by ended.cycle desc, ended.role asc, ended.job_id desc
    ) = 1 as is_newest,
    ended.cycle
from ended
inner join snapshot
    on
        ended.experiment_id = snapshot.experiment_id
        and ended.job_id = snapshot.job_id
        and ended.decider[1] = snapshot.task_id
        and ended.decider[2] = snapshot.poll_id
left join finding
    on
        ended.experiment_id = finding.experiment_id
        and ended.job_id = finding.job_id
        and ended.decider[1] = finding.task_id;

comment on view verdict is
'How an attempt ended, open and cancelled ones left out; grain: experiment_id, job_id';
comment on column verdict.experiment_id is 'the experiment [id]';
comment on column verdict.condition_id is 'the condition [id]';
comment on column verdict.job_id is 'its managed job [id]';
comment on column verdict.task_id is 'the task that decides: the first that failed [id]';
comment on column verdict.root_cause_id is
'what failures of one root cause share; unknown/unexamined = not looked at yet; null = succeeded [id]';
comment on column verdict.category is 'root cause category; null = succeeded [name]';
comment on column verdict.role is 'attempt or superseded, see view job [name]';
comment on column verdict.region is 'region it ran in; null = unknown or none [name]';
comment on column verdict.zone is 'zone it ran in; null = unknown or none [name]';
comment on column verdict.is_failed is 'it failed; false = it succeeded [bool]';
comment on column verdict.is_newest is 'the newest verdict of its condition [bool]';
comment on column verdict.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
