-- Every attempt that failed, with its root cause and cost. A failure that has not been examined yet is
-- included as unknown, so none is dropped.
create or replace view failure as
with spent as (
    select
        job.experiment_id,
        job.job_id,
        job.job_key,
        sum(job.cost_usd) as cost_usd
    from job
    group by job.experiment_id, job.job_id, job.job_key
)

select
    attempt_result.experiment_id,
    attempt_result.condition_id,
    attempt_result.job_id,
    attempt_result.job_key,
    attempt_result.task_id,
    attempt_result.root_cause_id,
    finding.signature,
    attempt_result.category,
    finding.subcategory,
    job.status,
    attempt_result.role,
    finding.remedy,
    coalesce(finding.root_cause, 'not examined yet') as root_cause,
    finding.exception_class,
    finding.message,
    finding.evidence,
    finding.source,
    finding.rule,
    finding.runner_up,
    finding.log_state,
    finding.log_error,
    coalesce(finding.affected_files, []) as affected_files,
    job.failure_reason,
    coalesce(finding.is_auto_fixable, false) as is_auto_fixable,
    attempt_result.is_newest,
    attempt_result.cycle,
    finding.evidence_line,
    finding.exit_code,
    coalesce(finding.confidence, 0) as confidence,
    cast(spent.cost_usd as decimal(18, 4)) as cost_usd,
    -- The times come from two clocks; a negative difference is impossible.
    case
        when job.detected_at >= job.end_at then (epoch_us(job.detected_at) - epoch_us(job.end_at)) / 1e6
    end as detection_latency_s,
    coalesce(job.end_at, job.detected_at) as failed_at,
    job.detected_at,
    finding.examined_at
from attempt_result
inner join job
    on
        attempt_result.experiment_id = job.experiment_id
        and attempt_result.job_key = job.job_key
        and attempt_result.task_id = job.task_id
inner join spent
    on attempt_result.experiment_id = spent.experiment_id and attempt_result.job_key = spent.job_key
left join finding
    on
        attempt_result.experiment_id = finding.experiment_id
        and attempt_result.job_key = finding.job_key
        and attempt_result.task_id = finding.task_id
where attempt_result.is_failed;

comment on view failure is
'An attempt that failed, and its root cause; grain: experiment_id, condition_id, cycle, job_key';
comment on column failure.experiment_id is 'the experiment [id]';
comment on column failure.condition_id is 'the condition [id]';
comment on column failure.job_id is 'the managed job that failed [id]';
comment on column failure.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column failure.task_id is 'the first task that failed [id]';
comment on column failure.root_cause_id is
'the root cause; unknown/unexamined = not examined yet [id]';
comment on column failure.signature is
'hash of the normalized error; same hash = identical error; null = not examined yet [id]';
comment on column failure.category is 'root cause category; unknown = no rule decided [name]';
comment on column failure.subcategory is 'more specific than the category; null = none [name]';
comment on column failure.status is 'SkyPilot''s status of that task [name]';
comment on column failure.role is 'attempt or superseded, see view job [name]';
comment on column failure.remedy is
'auto, config, code or unrecoverable (needs a person); null = not examined yet [name]';
comment on column failure.root_cause is 'the cause in one sentence [text]';
comment on column failure.exception_class is
'the exception that determined the cause; null = none [name]';
comment on column failure.message is
'its message, with the parts that differ between runs masked [text]';
comment on column failure.evidence is 'the line that determined the cause, redacted; null = none [text]';
comment on column failure.source is
'where it was found: log, controller_log, failure_reason or status; null = nowhere [name]';
comment on column failure.rule is 'the rule that determined the cause [name]';
comment on column failure.runner_up is 'the second best category/subcategory; null = none [name]';
comment on column failure.log_state is
'stored, or missing: classified from queue data only; null = not examined yet [name]';
comment on column failure.log_error is
'why the task''s own log is missing; null = it is stored [text]';
comment on column failure.affected_files is 'project files that the log names, deepest first [text]';
comment on column failure.failure_reason is 'reason for the failure, as reported by SkyPilot [text]';
comment on column failure.is_auto_fixable is 'a relaunch alone may succeed [bool]';
comment on column failure.is_newest is
'the newest attempt of its condition that ended and was not cancelled [bool]';
comment on column failure.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column failure.evidence_line is
'line number of the evidence in the stored log, from 1 [count]';
comment on column failure.exit_code is
'exit code of the program, as stated by SkyPilot; null = none stated [id]';
comment on column failure.confidence is 'confidence of the rule; 0 = not examined yet [ratio]';
comment on column failure.cost_usd is
'known cost of the job with all its tasks: cost wasted by the failure; null = unknown [USD]';
comment on column failure.detection_latency_s is
'time from the end of the task to the first poll that showed it; null = its end time is unknown [s]';
comment on column failure.failed_at is 'SkyPilot''s end time of the task, otherwise detected_at [UTC]';
comment on column failure.detected_at is 'first poll that showed the failure [UTC]';
comment on column failure.examined_at is 'when it was last examined; null = not yet [UTC]';
