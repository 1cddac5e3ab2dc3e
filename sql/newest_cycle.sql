-- The newest cycle that was started, even if it was interrupted before it was written to the manifest.
create or replace view newest_cycle as
select
    experiment.experiment_id,
    greatest(experiment.current_cycle, max(cycle_start.cycle)) as cycle
from experiment
left join cycle_start on experiment.experiment_id = cycle_start.experiment_id
group by experiment.experiment_id, experiment.current_cycle;

comment on view newest_cycle is 'The newest cycle that was started; grain: experiment_id';
comment on column newest_cycle.experiment_id is 'the experiment [id]';
comment on column newest_cycle.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
