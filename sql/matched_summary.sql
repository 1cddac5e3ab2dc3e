-- Summaries of both experiments over the conditions that they have in common, see matched_condition. View
-- experiment_summary covers each in full; if the grids differ, its costs per success are not comparable.
create or replace macro matched_summary(before, after) as table
    with matched as (
        select
            matched_condition.before_experiment_id as experiment_id,
            unnest(matched_condition.before_condition_ids) as condition_id
        from matched_condition(before, after) as matched_condition
        where matched_condition.side = 'both'

        union

        select
            matched_condition.experiment_id,
            unnest(matched_condition.after_condition_ids) as condition_id
        from matched_condition(before, after) as matched_condition
        where matched_condition.side = 'both'
    ),

    run as (
        select
            job.experiment_id,
            job.condition_id,
            sum(job.run_s) as run_s
        from job
        where job.experiment_id in (before, after)
        group by job.experiment_id, job.condition_id
    )

    select
        matched.experiment_id,
        count(*) as condition_count,
        count(*) filter (where condition.state = 'succeeded') as succeeded_count,
        count(*) filter (where condition.state = 'failed') as failed_count,
        cast(sum(condition.unpriced_count) as bigint) as unpriced_count,
        coalesce(sum(run.run_s), 0) / 3600 as run_h,
        coalesce(sum(run.run_s), 0) / 3600
        / nullif(count(*) filter (where condition.state = 'succeeded'), 0) as run_per_success_h,
        cast(sum(condition.cost_usd) as decimal(18, 4)) as cost_usd,
        cast(
            sum(condition.cost_usd)
            / nullif(count(*) filter (where condition.state = 'succeeded'), 0) as decimal(18, 4)
        ) as cost_per_success_usd
    from matched
    inner join condition
        on matched.experiment_id = condition.experiment_id and matched.condition_id = condition.condition_id
    left join run
        on matched.experiment_id = run.experiment_id and matched.condition_id = run.condition_id
    group by matched.experiment_id;

comment on macro table matched_summary is -- noqa: PRS
'Summary of an experiment over the conditions that it has in common with another one; grain: experiment_id
experiment_id: one of the two experiments [id]
condition_count: its conditions in cells that both have [count]
succeeded_count: conditions that succeeded [count]
failed_count: conditions that failed [count]
unpriced_count: jobs whose cost is unknown [count]
run_h: run time of all their jobs and cycles [h]
run_per_success_h: run_h per succeeded condition; null = no success [h]
cost_usd: known cost of all their jobs and cycles; null = no cost is known [USD]
cost_per_success_usd: cost_usd per succeeded condition; a lower bound while unpriced_count > 0; null = no success [USD]';
