-- How long jobs waited from submission until they ran, by accelerator, region and hour of submission (UTC). A
-- job that has no machine yet has no region.
create or replace view provisioning as
with task as (
    select
        job.experiment_id,
        -- L4 of 1x[L4:1], 1x[L4:1, A100:1][Spot] or 1x(gpus=L4:1, ...): the first accelerator named.
        coalesce(
            nullif(
                regexp_extract(
                    coalesce(job.machine, job.resources), '(?:[\[({, ]|gpus=)''?([A-Za-z][\w.-]*)''?:\s?\d', 1
                ),
                ''
            ),
            if(coalesce(job.machine, job.resources) like '%cpus=%', 'CPU', 'unknown')
        ) as accelerator,
        coalesce(job.region, 'unknown') as region,
        least(job.submitted_at, job.first_seen_at) as submitted_at,
        job.start_at
    from job
    where job.task_id = 0
)

select
    task.experiment_id,
    task.accelerator,
    task.region,
    cast(extract(hour from task.submitted_at) as bigint) as hour_of_day,
    count(*) as submitted_count,
    count(task.start_at) as started_count,
    median(
        case
            when task.start_at >= task.submitted_at
                then (epoch_us(task.start_at) - epoch_us(task.submitted_at)) / 1e6
        end
    ) as wait_s
from task
group by task.experiment_id, task.accelerator, task.region, extract(hour from task.submitted_at);

comment on view provisioning is
'Time from submission to a machine; grain: experiment_id, accelerator, region, hour_of_day';
comment on column provisioning.experiment_id is 'the experiment [id]';
comment on column provisioning.accelerator is
'the first accelerator of the machine, or of the request; CPU = none, unknown = not reported [name]';
comment on column provisioning.region is 'the region it got; unknown = none yet, or not reported [name]';
comment on column provisioning.hour_of_day is 'hour of the submission in UTC, 0 to 23 [count]';
comment on column provisioning.submitted_count is 'jobs submitted [count]';
comment on column provisioning.started_count is 'of these, jobs that have run [count]';
comment on column provisioning.wait_s is
'median time from submission (or the first poll, if earlier) to RUNNING; null = none has run [s]';
