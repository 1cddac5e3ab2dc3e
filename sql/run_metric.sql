-- The metrics of the jobs, one row per value, to group by factor levels (join condition_level).
create or replace view run_metric as
with listed as (
    select
        run.experiment_id,
        run.condition_id,
        run.run_id,
        run.job_id,
        run.job_key,
        run.is_newest,
        run.cycle,
        unnest(map_entries(run.metrics)) as entry
    from run
    where run.condition_id is not null
)

select
    listed.experiment_id,
    listed.condition_id,
    listed.run_id,
    listed.entry.key as metric,
    listed.job_id,
    listed.job_key,
    listed.is_newest,
    listed.cycle,
    listed.entry.value as metric_value
from listed;

comment on view run_metric is
'A metric of an MLflow run that belongs to a condition; grain: experiment_id, run_id, metric';
comment on column run_metric.experiment_id is 'the experiment [id]';
comment on column run_metric.condition_id is 'the condition [id]';
comment on column run_metric.run_id is 'MLflow''s id of the run [id]';
comment on column run_metric.metric is 'name of the metric [name]';
comment on column run_metric.job_id is 'the managed job that wrote it [id]';
comment on column run_metric.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column run_metric.is_newest is 'it belongs to the newest run of its condition [bool]';
comment on column run_metric.cycle is 'cycle of that job [count]';
comment on column run_metric.metric_value is
'its last value in its own unit; NaN if the job logged NaN [own]';
