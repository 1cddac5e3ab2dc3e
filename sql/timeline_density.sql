-- The timeline in equal parts: from timeline_density('<experiment_id>', 100). It shows a timeline as one
-- strip when there are too many tasks to draw each of them.
create or replace macro timeline_density(experiment, parts) as table
    with span as (
        select
            timeline.is_failed,
            epoch(timeline.from_at) as from_s,
            epoch(timeline.start_at) as start_s,
            epoch(timeline.to_at) as to_s
        from timeline
        where timeline.experiment_id = experiment
    ),

    frame as (
        select
            min(span.from_s) as from_s,
            greatest(max(span.to_s) - min(span.from_s), 1) as length_s
        from span
    ),

    -- Each start adds one, each end removes one.
    step as (
        select
            least(span.start_s, span.to_s) as at_s,
            1 as change,
            0 as failed_count
        from span
        where span.start_s is not null
        union all
        select
            span.to_s as at_s,
            if(span.start_s is null, 0, -1) as change,
            if(span.is_failed, 1, 0) as failed_count
        from span
    ),

    running as (
        select
            least(floor((step.at_s - frame.from_s) / frame.length_s * parts), parts - 1) as part,
            step.change,
            step.failed_count,
            sum(step.change) over (
                order by step.at_s, step.change
                rows between unbounded preceding and current row
            ) as running_count
        from step
        cross join frame
    ),

    summed as (
        select
            running.part,
            sum(running.change) as change,
            sum(running.failed_count) as failed_count,
            max(running.running_count) as most_count
        from running
        group by running.part
    )

    select
        experiment as experiment_id,
        part.number as part_number,
        cast(greatest(
            coalesce(summed.most_count, 0),
            coalesce(sum(summed.change) over (
                order by part.number
                rows between unbounded preceding and 1 preceding
            ), 0)
        ) as bigint) as running_count,
        cast(coalesce(summed.failed_count, 0) as bigint) as failed_count
    from generate_series(0, parts - 1) as part (number)
    left join summed on part.number = summed.part
    where exists (select 1 from span);

comment on macro table timeline_density is -- noqa: PRS
'A part of the timeline of an experiment; grain: experiment_id, part_number
experiment_id: the experiment [id]
part_number: number of the part of the time from the first submission to the last end, from 0 [count]
running_count: maximum number of job tasks that ran at the same time in it [count]
failed_count: job tasks that failed in it [count]';
