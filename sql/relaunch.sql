-- The conditions to run again, and in which cycle. Those never launched belong to `fmon launch`, those that
-- succeeded are never here.
create or replace view relaunch as
with begun as (
    select
        relaunched.experiment_id,
        unnest(relaunched.condition_ids) as condition_id,
        relaunched.cycle
    from relaunched
),

-- A relaunch that was cut short: the condition was to have a job in this cycle and has none yet.
left_over as (
    select
        begun.experiment_id,
        begun.condition_id,
        max(begun.cycle) as cycle
    from begun
    inner join condition
        on begun.experiment_id = condition.experiment_id and begun.condition_id = condition.condition_id
    where begun.cycle > condition.cycle
    group by begun.experiment_id, begun.condition_id
),

newest_cycle as (
    select
        cycles.experiment_id,
        max(cycles.cycle) as cycle
    from (
        select
            experiment.experiment_id,
            experiment.current_cycle as cycle
        from experiment
        union all
        select
            begun.experiment_id,
            begun.cycle
        from begun
    ) as cycles
    group by cycles.experiment_id
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

-- What a person did about a cause, after a diagnosis of that cycle or a later one had named it.
fixed as (
    select
        failure.experiment_id,
        failure.job_id,
        max(fix_record.fixed_at) as fixed_at
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
    group by failure.experiment_id, failure.job_id
),

wished as (
    select
        cancel_wish.experiment_id,
        cancel_wish.job_id,
        bool_or(cancel_wish.reason = 'kill_switch') as is_kill_switch
    from cancel_wish
    group by cancel_wish.experiment_id, cancel_wish.job_id
),

closed as (
    select distinct
        lost_closure.experiment_id,
        lost_closure.condition_id,
        lost_closure.job_id
    from lost_closure
),

ended as (
    select
        condition.experiment_id,
        condition.condition_id,
        condition.job_id,
        condition.job_name,
        condition.entry_number,
        condition.cycle,
        condition.cost_usd,
        condition.end_at,
        case
            when condition.state = 'failed' and condition.is_terminal then 'failed'
            when condition.state = 'cancelled' and wished.is_kill_switch then 'kill_switch'
            when condition.state = 'cancelled' then 'cancelled'
            when condition.state = 'lost' and closed.job_id is not null then 'lost'
        end as why
    from condition
    left join wished
        on condition.experiment_id = wished.experiment_id and condition.job_id = wished.job_id
    left join closed
        on
            condition.experiment_id = closed.experiment_id
            and condition.condition_id = closed.condition_id
            and condition.job_id = closed.job_id
)

select
    ended.experiment_id,
    ended.condition_id,
    ended.job_id,
    ended.job_name,
    ended.why,
    failure.root_cause_id,
    failure.category,
    case
        when ended.why = 'failed' then failure.remedy
        when ended.why = 'lost' then 'lost'
        else 'cancelled'
    end as remedy,
    entry_env.envs,
    ended.why = 'cancelled' as is_on_request,
    left_over.cycle is not null as is_begun,
    ended.entry_number,
    coalesce(left_over.cycle, newest_cycle.cycle + 1) as cycle,
    ended.cycle as ended_cycle,
    ended.cost_usd,
    ended.end_at
from ended
left join entry_env
    on ended.experiment_id = entry_env.experiment_id and ended.condition_id = entry_env.condition_id
inner join newest_cycle on ended.experiment_id = newest_cycle.experiment_id
left join failure
    on
        ended.why = 'failed'
        and ended.experiment_id = failure.experiment_id
        and ended.job_id = failure.job_id
left join fixed
    on ended.experiment_id = fixed.experiment_id and ended.job_id = fixed.job_id
left join left_over
    on ended.experiment_id = left_over.experiment_id and ended.condition_id = left_over.condition_id
where
    ended.why is not null
    and (failure.remedy is distinct from 'unrecoverable' or fixed.fixed_at is not null);

comment on view relaunch is 'A condition to run again; grain: experiment_id, condition_id';
comment on column relaunch.experiment_id is 'the experiment [id]';
comment on column relaunch.condition_id is 'the condition [id]';
comment on column relaunch.job_id is 'managed job of its newest attempt [id]';
comment on column relaunch.job_name is 'the exact name of its jobs [name]';
comment on column relaunch.why is
'failed, kill_switch (cancelled by it), cancelled (by a person) or lost (closed as lost) [name]';
comment on column relaunch.root_cause_id is
'root cause of the failure; unknown/unexamined = not looked at yet; null = not failed [id]';
comment on column relaunch.category is 'root cause category; null = not failed [name]';
comment on column relaunch.remedy is
'auto, config, code, none, unrecoverable (only once its fix is recorded), cancelled or lost [name]';
comment on column relaunch.envs is 'env vars of the condition''s job: name -> value [text]';
comment on column relaunch.is_on_request is
'run again only on request (fmon relaunch --include-cancelled): a person cancelled it [bool]';
comment on column relaunch.is_begun is
'its cycle was begun and cut short: to be carried on, not another cycle [bool]';
comment on column relaunch.entry_number is 'position in the manifest [count]';
comment on column relaunch.cycle is 'the cycle it would run in [count]';
comment on column relaunch.ended_cycle is 'cycle of its newest attempt [count]';
comment on column relaunch.cost_usd is
'known cost of all its jobs so far; null = all of it unknown [USD]';
comment on column relaunch.end_at is 'its newest attempt ended [UTC]';
