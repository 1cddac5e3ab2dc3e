-- The firings of the kill switch, as recorded by the poll that fired, and the jobs to cancel now: candidates
-- that are still open and have not passed the failure point since.
create or replace view kill_switch as
with candidate as (
    select
        firing.experiment_id,
        firing.firing_id,
        firing.failure_point_s,
        cast(unnest(firing.candidate_job_keys) as bigint) as job_key
    from firing
),

still_open as (
    select
        candidate.experiment_id,
        candidate.firing_id,
        list(longest_run.job_id order by longest_run.job_key) as job_ids,
        list(longest_run.job_key order by longest_run.job_key) as job_keys
    from candidate
    inner join longest_run
        on candidate.experiment_id = longest_run.experiment_id and candidate.job_key = longest_run.job_key
    where
        longest_run.is_open
        and (
            not longest_run.has_started
            or (candidate.failure_point_s > 0 and longest_run.longest_run_s <= candidate.failure_point_s)
        )
    group by candidate.experiment_id, candidate.firing_id
)

select
    firing.experiment_id,
    firing.firing_id,
    firing.trigger,
    firing.signature,
    firing.category,
    firing.no_action_reason,
    firing.combination,
    [cast(member as bigint) for member in firing.member_job_ids] as failed_job_ids,
    [cast(member as bigint) for member in firing.member_job_keys] as failed_job_keys,
    coalesce(still_open.job_ids, []) as cancel_job_ids,
    coalesce(still_open.job_keys, []) as cancel_job_keys,
    firing.cycle,
    cast(len(firing.member_job_ids) as bigint) as failed_count,
    firing.failure_point_s,
    firing.first_failed_at,
    firing.fired_at
from firing
left join still_open
    on firing.experiment_id = still_open.experiment_id and firing.firing_id = still_open.firing_id;

comment on view kill_switch is 'A firing of the kill switch; grain: experiment_id, firing_id';
comment on column kill_switch.experiment_id is 'the experiment [id]';
comment on column kill_switch.firing_id is 'order of the firing, from 1 [id]';
comment on column kill_switch.trigger is
'identical_errors (3 or more end within 5 minutes), or failed_ratio: too many jobs failed [name]';
comment on column kill_switch.signature is 'the error that they share; null for failed_ratio [id]';
comment on column kill_switch.category is 'its root cause category; null for failed_ratio [name]';
comment on column kill_switch.no_action_reason is
'why it proposed no jobs; null = it proposed some [text]';
comment on column kill_switch.combination is
'factor -> level that the failures share; empty = all jobs [text]';
comment on column kill_switch.failed_job_ids is
'the failed jobs; no job is in two firings of a trigger [id]';
comment on column kill_switch.failed_job_keys is 'keys of these jobs [id]';
comment on column kill_switch.cancel_job_ids is
'proposed jobs that are still open and still not past the failure point [id]';
comment on column kill_switch.cancel_job_keys is 'keys of these jobs [id]';
comment on column kill_switch.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column kill_switch.failed_count is 'jobs in failed_job_ids [count]';
comment on column kill_switch.failure_point_s is
'run time by which they had failed; 0 = they never started [s]';
comment on column kill_switch.first_failed_at is 'when the first of them ended; null = unknown [UTC]';
comment on column kill_switch.fired_at is 'the poll that first saw them [UTC]';
