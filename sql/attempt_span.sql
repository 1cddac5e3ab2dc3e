-- When each attempt of the manifest began and ended, according to polls and users. It ends with the first
-- poll in which all its tasks have ended; a person may have closed it before that, or instead.
create or replace view attempt_span as
select
    attempt.experiment_id,
    attempt.condition_id,
    attempt.job_id,
    attempt.job_key,
    attempt.role,
    count(job.job_key) > 0 as is_seen,
    coalesce(bool_and(job.state = 'succeeded'), false) as is_succeeded,
    attempt.cycle,
    min(least(job.submitted_at, job.first_seen_at)) as started_at,
    min(lost_job_closure.closed_at) as closed_at,
    least(
        case when bool_and(job.is_terminal) then max(job.detected_at) end, min(lost_job_closure.closed_at)
    ) as ended_at
from attempt
left join job on attempt.experiment_id = job.experiment_id and attempt.job_key = job.job_key
left join lost_job_closure
    on
        attempt.experiment_id = lost_job_closure.experiment_id
        and attempt.condition_id = lost_job_closure.condition_id
        and attempt.job_key = lost_job_closure.job_key
group by
    attempt.experiment_id,
    attempt.condition_id,
    attempt.job_id,
    attempt.job_key,
    attempt.role,
    attempt.cycle;

comment on view attempt_span is
'The start and end of an attempt of the manifest; grain: experiment_id, condition_id, cycle, job_key';
comment on column attempt_span.experiment_id is 'the experiment [id]';
comment on column attempt_span.condition_id is 'the condition [id]';
comment on column attempt_span.job_id is 'its managed job [id]';
comment on column attempt_span.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column attempt_span.role is 'attempt or superseded, see view job [name]';
comment on column attempt_span.is_seen is 'a poll has shown it [bool]';
comment on column attempt_span.is_succeeded is 'all its tasks succeeded [bool]';
comment on column attempt_span.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column attempt_span.started_at is
'submitted or first seen, whichever was earlier; null = not seen yet [UTC]';
comment on column attempt_span.closed_at is 'a person closed it as lost; null = nobody did [UTC]';
comment on column attempt_span.ended_at is
'a poll showed that it has ended, or a person closed it; null = open [UTC]';
