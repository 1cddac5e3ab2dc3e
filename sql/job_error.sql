-- The error of a job: the finding for its first task that has one.
create or replace view job_error as
select
    finding.experiment_id,
    finding.job_id,
    finding.job_key,
    arg_min(finding.signature, finding.task_id) as signature,
    arg_min(finding.category, finding.task_id) as category,
    arg_min(finding.source, finding.task_id) as source
from finding
group by finding.experiment_id, finding.job_id, finding.job_key;

comment on view job_error is 'The error found for a job; grain: experiment_id, job_key';
comment on column job_error.experiment_id is 'the experiment [id]';
comment on column job_error.job_id is 'the managed job that failed [id]';
comment on column job_error.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column job_error.signature is
'hash of the normalized error; same hash = identical error [id]';
comment on column job_error.category is 'root cause category; unknown = no rule decided [name]';
comment on column job_error.source is
'where it was found: log, controller_log, failure_reason or status; null = nowhere [name]';
