-- The experiments: name, thresholds, and the clock that their views use.
create or replace view experiment as
with polled as (
    select
        heartbeat.experiment_id,
        cast(count(*) as bigint) as poll_count,
        arg_max(heartbeat.polled_at, heartbeat.poll_id) as last_polled_at,
        arg_max(heartbeat.polled_at, heartbeat.poll_id) filter (where heartbeat.is_ok) as last_ok_at,
        arg_max(heartbeat.source, heartbeat.poll_id) filter (where heartbeat.is_ok) as last_ok_source
    from heartbeat
    group by heartbeat.experiment_id
),

counted as (
    select
        entry.experiment_id,
        cast(count(*) as bigint) as condition_count
    from entry
    group by entry.experiment_id
)

select
    manifest.experiment_id,
    manifest.experiment_name,
    manifest.config_file,
    manifest.is_replayed,
    manifest.current_cycle,
    manifest.max_relaunch_cycles,
    coalesce(counted.condition_count, 0) as condition_count,
    coalesce(polled.poll_count, 0) as poll_count,
    cast(manifest.budget_usd as decimal(18, 4)) as budget_usd,
    manifest.pending_threshold_s,
    manifest.starting_threshold_s,
    manifest.overrun_factor,
    manifest.flapping_threshold,
    manifest.created_at,
    polled.last_polled_at,
    polled.last_ok_at,
    coalesce(polled.last_ok_source like 'file:%', false) as is_from_file,
    -- The clock of a replayed experiment stops at its last poll, so that its open jobs do not age.
    case
        when manifest.is_replayed then coalesce(polled.last_polled_at, manifest.created_at)
        -- A file is only valid for the time at which it was written; its jobs may have ended since.
        when polled.last_ok_source like 'file:%' then least(polled.last_ok_at, clock.now)
        else clock.now
    end as now_at,
    case
        when manifest.is_replayed then coalesce(polled.last_polled_at, manifest.created_at)
        else clock.now
    end as clock_at
from manifest
cross join clock
left join polled on manifest.experiment_id = polled.experiment_id
left join counted on manifest.experiment_id = counted.experiment_id;

comment on view experiment is 'An experiment and the clock that its views use; grain: experiment_id';
comment on column experiment.experiment_id is 'the experiment [id]';
comment on column experiment.experiment_name is 'name in the config [name]';
comment on column experiment.config_file is 'the config that it was created from [text]';
comment on column experiment.is_replayed is 'created from a recording [bool]';
comment on column experiment.current_cycle is 'newest cycle launched; 0 = first launch [count]';
comment on column experiment.max_relaunch_cycles is
'relaunches allowed before a person must decide [count]';
comment on column experiment.condition_count is
'conditions, grid and baselines, launched or not [count]';
comment on column experiment.poll_count is 'polls so far, including failed ones [count]';
comment on column experiment.budget_usd is 'budget; null = none [USD]';
comment on column experiment.pending_threshold_s is
'a longer time in PENDING or SUBMITTED raises an alarm [s]';
comment on column experiment.starting_threshold_s is 'a longer time in STARTING raises an alarm [s]';
comment on column experiment.flapping_threshold is
'number of changes to PENDING, STARTING or RECOVERING within 6 h that raises an alarm; 0 = never [count]';
comment on column experiment.overrun_factor is
'running longer than this times the expected time raises an alarm [ratio]';
comment on column experiment.created_at is 'when the experiment was created [UTC]';
comment on column experiment.last_polled_at is
'newest poll, including failed ones; null = never polled [UTC]';
comment on column experiment.last_ok_at is 'newest poll that the queue answered [UTC]';
comment on column experiment.is_from_file is 'the newest answer of the queue came from a file [bool]';
comment on column experiment.now_at is
'end of open run times and costs: wall clock, time of the queue''s file, or last poll of a replay [UTC]';
comment on column experiment.clock_at is 'the wall clock; for a replayed experiment its last poll [UTC]';
