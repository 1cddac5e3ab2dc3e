-- What failed, in SkyPilot's own words: the conditions with the same status and reason. SkyPilot names the
-- job in its advice where to find logs, which would set each reason apart from all others.
create or replace view failure_reason as
with failed as (
    select distinct
        job.experiment_id,
        job.status,
        coalesce(
            replace(
                job.failure_reason,
                'sky jobs logs --controller ' || job.job_id,
                'sky jobs logs --controller JOB_ID'
            ),
            ''
        ) as reason,
        job.condition_id,
        condition.manifest_position
    from job
    inner join condition
        on job.experiment_id = condition.experiment_id and job.condition_id = condition.condition_id
    where job.is_failed and job.role <> 'duplicate'
)

select
    failed.experiment_id,
    failed.status,
    failed.reason,
    list(failed.condition_id order by failed.manifest_position) as condition_ids,
    count(*) as condition_count
from failed
group by failed.experiment_id, failed.status, failed.reason;

comment on view failure_reason is
'Conditions that failed with the same status and reason; grain: experiment_id, status, reason';
comment on column failure_reason.experiment_id is 'the experiment [id]';
comment on column failure_reason.status is 'SkyPilot''s status [name]';
comment on column failure_reason.reason is
'why they failed as SkyPilot says it, its job id masked; empty = it does not say [text]';
comment on column failure_reason.condition_ids is 'conditions in the order of the manifest [id]';
comment on column failure_reason.condition_count is 'how many they are [count]';
