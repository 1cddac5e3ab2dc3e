-- Failures in SkyPilot's own words: conditions grouped by status and reason. The job id is masked, because
-- SkyPilot mentions it in its hint about logs, which would make each reason unique.
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
'reason reported by SkyPilot, with the job id masked; empty = none [text]';
comment on column failure_reason.condition_ids is 'conditions in the order of the manifest [id]';
comment on column failure_reason.condition_count is 'number of these conditions [count]';
