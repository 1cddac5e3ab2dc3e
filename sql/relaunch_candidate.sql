-- The conditions to run again, and in which cycle. `fmon launch` handles conditions that were never launched;
-- conditions that succeeded are never listed.
create or replace view relaunch_candidate as
with started as (
    select
        cycle_start.experiment_id,
        unnest(cycle_start.condition_ids) as condition_id,
        cycle_start.cycle
    from cycle_start
),

-- A relaunch that was interrupted: the condition should have a job in this cycle but has none yet.
left_over as (
    select
        started.experiment_id,
        started.condition_id,
        max(started.cycle) as cycle
    from started
    inner join condition
        on started.experiment_id = condition.experiment_id and started.condition_id = condition.condition_id
    where started.cycle > condition.cycle
    group by started.experiment_id, started.condition_id
),

named as (
    select
        diagnosis.experiment_id,
        unnest(diagnosis.root_cause_ids) as root_cause_id,
        diagnosis.cycle,
        diagnosis.diagnosed_at
    from diagnosis
    where not diagnosis.is_preliminary
),

-- What a person last recorded about a cause, after a diagnosis of that cycle or a later one listed the cause.
fixed as (
    select
        failure.experiment_id,
        failure.job_id,
        failure.job_key,
        arg_max(
            {
                fix: fix_record.what,
                fixed_by: coalesce(fix_record.person, 'unknown'),
                is_without_fix: fix_record.is_without_fix
            },
            row(fix_record.fixed_at, fix_record.event_position)
        ) as newest
    from failure
    inner join named
        on
            failure.experiment_id = named.experiment_id
            and failure.root_cause_id = named.root_cause_id
            and failure.cycle <= named.cycle
    inner join fix_record
        on
            failure.experiment_id = fix_record.experiment_id
            and failure.root_cause_id = fix_record.root_cause_id
            and named.diagnosed_at <= fix_record.fixed_at
    group by failure.experiment_id, failure.job_id, failure.job_key
),

requested as (
    select
        cancel_request.experiment_id,
        cancel_request.job_id,
        cancel_request.job_key,
        bool_or(cancel_request.reason = 'kill_switch') as is_kill_switch
    from cancel_request
    group by cancel_request.experiment_id, cancel_request.job_id, cancel_request.job_key
),

ended as (
    select
        condition.experiment_id,
        condition.condition_id,
        condition.job_id,
        condition.job_key,
        condition.job_name,
        condition.manifest_position,
        condition.cycle,
        condition.cost_usd,
        condition.end_at,
        case
            when condition.state = 'failed' and condition.is_terminal then 'failed'
            when condition.state = 'cancelled' and requested.is_kill_switch then 'kill_switch'
            when condition.state = 'cancelled' then 'cancelled'
            when condition.state = 'lost' and condition.is_terminal then 'lost'
        end as reason
    from condition
    left join requested
        on condition.experiment_id = requested.experiment_id and condition.job_key = requested.job_key
)

select
    ended.experiment_id,
    ended.condition_id,
    ended.job_id,
    ended.job_key,
    ended.job_name,
    ended.reason,
    failure.root_cause_id,
    failure.category,
    case
        when ended.reason = 'failed' then failure.remedy
        when ended.reason = 'lost' then 'lost'
        else 'cancelled'
    end as remedy,
    fixed.newest.fix,
    fixed.newest.fixed_by,
    entry_env.envs,
    coalesce(fixed.newest.is_without_fix, false) as is_without_fix,
    ended.reason = 'cancelled' as requires_request,
    left_over.cycle is not null as is_in_progress,
    ended.manifest_position,
    coalesce(left_over.cycle, newest_cycle.cycle + 1) as cycle,
    ended.cycle as last_cycle,
    ended.cost_usd,
    ended.end_at
from ended
left join entry_env
    on ended.experiment_id = entry_env.experiment_id and ended.condition_id = entry_env.condition_id
inner join newest_cycle on ended.experiment_id = newest_cycle.experiment_id
left join failure
    on
        ended.reason = 'failed'
        and ended.experiment_id = failure.experiment_id
        and ended.job_key = failure.job_key
left join fixed
    on ended.experiment_id = fixed.experiment_id and ended.job_key = fixed.job_key
left join left_over
    on ended.experiment_id = left_over.experiment_id and ended.condition_id = left_over.condition_id
where
    ended.reason is not null
    and (failure.remedy is distinct from 'unrecoverable' or fixed.newest is not null);

comment on view relaunch_candidate is 'A condition to run again; grain: experiment_id, condition_id';
comment on column relaunch_candidate.experiment_id is 'the experiment [id]';
comment on column relaunch_candidate.condition_id is 'the condition [id]';
comment on column relaunch_candidate.job_id is 'managed job of its newest attempt [id]';
comment on column relaunch_candidate.job_key is
'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column relaunch_candidate.job_name is 'the exact name of its jobs [name]';
comment on column relaunch_candidate.reason is
'failed, kill_switch (cancelled by it), cancelled (by a person) or lost (closed as lost) [name]';
comment on column relaunch_candidate.root_cause_id is
'root cause of the failure; unknown/unexamined = not examined yet; null = it did not fail [id]';
comment on column relaunch_candidate.category is 'root cause category; null = it did not fail [name]';
comment on column relaunch_candidate.remedy is
'auto, config, code, none, unrecoverable (only once its fix is recorded), cancelled or lost [name]';
comment on column relaunch_candidate.fix is
'what a person last recorded about its cause since a diagnosis listed it; null = nothing [text]';
comment on column relaunch_candidate.fixed_by is 'who recorded it [name]';
comment on column relaunch_candidate.envs is
'environment variables of the condition''s job: name -> value [text]';
comment on column relaunch_candidate.is_without_fix is
'nothing was changed for its cause; fix is the reason [bool]';
comment on column relaunch_candidate.requires_request is
'run again only with fmon relaunch --include-cancelled, because a person cancelled it [bool]';
comment on column relaunch_candidate.is_in_progress is
'its cycle was started and interrupted; a relaunch resumes it instead of starting another cycle [bool]';
comment on column relaunch_candidate.manifest_position is 'position in the manifest [count]';
comment on column relaunch_candidate.cycle is 'the cycle it would run in [count]';
comment on column relaunch_candidate.last_cycle is 'cycle of its newest attempt [count]';
comment on column relaunch_candidate.cost_usd is
'known cost of all its jobs so far; null = no cost is known [USD]';
comment on column relaunch_candidate.end_at is 'when its newest attempt ended [UTC]';
