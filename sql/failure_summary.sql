-- The failures of an experiment in one row: how many there are, and how soon they were noticed.
create or replace view failure_summary as
with blamed as (
    select
        cause.experiment_id,
        sum(cause.failed_count) as failed_count,
        sum(cause.failed_count) filter (where cause.root_cause_id = 'unknown/unexamined') as unexamined_count,
        count(*) filter (where cause.root_cause_id <> 'unknown/unexamined') as cause_count
    from cause
    group by cause.experiment_id
),

noticed as (
    select
        failure.experiment_id,
        count(*) as attempt_count,
        median(failure.detection_latency_s) as detection_latency_s,
        max(failure.detection_latency_s) as longest_latency_s
    from failure
    group by failure.experiment_id
)

select
    experiment.experiment_id,
    coalesce(noticed.attempt_count, 0) as attempt_count,
    cast(coalesce(blamed.failed_count, 0) as bigint) as failed_count,
    cast(coalesce(blamed.unexamined_count, 0) as bigint) as unexamined_count,
    coalesce(blamed.cause_count, 0) as cause_count,
    noticed.detection_latency_s,
    noticed.longest_latency_s
from experiment
left join blamed on experiment.experiment_id = blamed.experiment_id
left join noticed on experiment.experiment_id = noticed.experiment_id;

comment on view failure_summary is 'The failures of an experiment in one row; grain: experiment_id';
comment on column failure_summary.experiment_id is 'the experiment [id]';
comment on column failure_summary.attempt_count is
'failed attempts, including those of conditions that have succeeded since [count]';
comment on column failure_summary.failed_count is
'failures of the newest results, see view cause [count]';
comment on column failure_summary.unexamined_count is 'failures not examined yet [count]';
comment on column failure_summary.cause_count is 'their root causes, without unknown/unexamined [count]';
comment on column failure_summary.detection_latency_s is
'median time from a failure to the first poll that showed it; null = no failure [s]';
comment on column failure_summary.longest_latency_s is 'the longest such time; null = no failure [s]';
