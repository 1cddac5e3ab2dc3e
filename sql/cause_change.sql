-- The errors of two experiments, over all attempts and cycles: from cause_change('<before>', '<after>').
-- An error that disappeared counts as fixed only if a cell that it affected has succeeded since: a condition
-- that was not run again, or now fails with another error, proves nothing.
create or replace macro cause_change(before, after) as table
    with counted as (
        select
            failure.root_cause_id,
            failure.signature,
            min(failure.category) as category,
            arg_max(failure.remedy, failure.failed_at) as remedy,
            arg_max(failure.root_cause, failure.failed_at) as root_cause,
            arg_max(failure.evidence, failure.failed_at) as evidence,
            count(*) filter (where failure.experiment_id = before) as before_attempt_count,
            count(*) filter (where failure.experiment_id = after) as after_attempt_count,
            count(distinct failure.condition_id) filter (where failure.experiment_id = before)
                as before_condition_count,
            count(distinct failure.condition_id) filter (where failure.experiment_id = after)
                as after_condition_count,
            sum(failure.cost_usd) filter (where failure.experiment_id = before) as before_cost_usd,
            sum(failure.cost_usd) filter (where failure.experiment_id = after) as after_cost_usd
        from failure
        where failure.experiment_id in (before, after)
        group by failure.root_cause_id, failure.signature
    ),

    -- Other studies in the same folder count too, because the signature identifies the error.
    earlier as (
        select
            failure.root_cause_id,
            failure.signature,
            failure.experiment_id
        from failure
        inner join experiment on failure.experiment_id = experiment.experiment_id
        where
            failure.experiment_id not in (before, after)
            and experiment.created_at
            < (
                select later.created_at
                from experiment as later
                where later.experiment_id = after
            )
        group by failure.root_cause_id, failure.signature, failure.experiment_id
    ),

    earlier_signature as (
        select
            earlier.signature,
            count(distinct earlier.experiment_id) as experiment_count
        from earlier
        group by earlier.signature
    ),

    earlier_cause as (
        select
            earlier.root_cause_id,
            count(distinct earlier.experiment_id) as experiment_count
        from earlier
        group by earlier.root_cause_id
    ),

    matched as (
        select
            matched_condition.manifest_position as cell_number,
            unnest(matched_condition.before_condition_ids) as condition_id,
            matched_condition.after_succeeded_count = matched_condition.after_condition_count as has_succeeded
        from matched_condition(before, after) as matched_condition
        where matched_condition.side = 'both'
    ),

    struck as (
        select
            failure.root_cause_id,
            failure.signature,
            count(distinct matched.cell_number) as cell_count,
            count(distinct matched.cell_number) filter (where matched.has_succeeded) as succeeded_cell_count
        from failure
        inner join matched on failure.condition_id = matched.condition_id
        where failure.experiment_id = before
        group by failure.root_cause_id, failure.signature
    ),

    gathered as (
        select
            counted.root_cause_id,
            counted.signature,
            counted.category,
            counted.remedy,
            counted.root_cause,
            counted.evidence,
            counted.before_attempt_count,
            counted.after_attempt_count,
            counted.before_condition_count,
            counted.after_condition_count,
            coalesce(struck.cell_count, 0) as matched_cell_count,
            coalesce(struck.succeeded_cell_count, 0) as succeeded_cell_count,
            coalesce(earlier_signature.experiment_count, 0) as earlier_count,
            coalesce(earlier_cause.experiment_count, 0) as earlier_cause_count,
            counted.before_cost_usd,
            counted.after_cost_usd
        from counted
        left join struck
            on
                counted.root_cause_id = struck.root_cause_id
                and counted.signature is not distinct from struck.signature
        left join earlier_signature on counted.signature = earlier_signature.signature
        left join earlier_cause on counted.root_cause_id = earlier_cause.root_cause_id
    )

    select
        after as experiment_id,
        before as before_experiment_id,
        gathered.root_cause_id,
        gathered.signature,
        gathered.category,
        case
            when gathered.signature is null then 'unexamined'
            when gathered.before_attempt_count > 0 and gathered.after_attempt_count > 0 then 'recurring'
            when gathered.after_attempt_count > 0 and gathered.earlier_count > 0 then 'returned'
            when gathered.after_attempt_count > 0 then 'new'
            when gathered.succeeded_cell_count > 0 then 'fixed'
            else 'unproven'
        end as change,
        case
            when gathered.signature is null then 'unexamined'
            when
                sum(gathered.before_attempt_count) over by_cause > 0
                and sum(gathered.after_attempt_count) over by_cause > 0
                then 'recurring'
            when gathered.after_attempt_count > 0 and gathered.earlier_cause_count > 0 then 'returned'
            when gathered.after_attempt_count > 0 then 'new'
            when max(gathered.succeeded_cell_count) over by_cause > 0 then 'fixed'
            else 'unproven'
        end as root_cause_change,
        gathered.remedy,
        gathered.root_cause,
        gathered.evidence,
        gathered.before_attempt_count,
        gathered.after_attempt_count,
        gathered.before_condition_count,
        gathered.after_condition_count,
        gathered.matched_cell_count,
        gathered.succeeded_cell_count,
        gathered.earlier_count,
        cast(gathered.before_cost_usd as decimal(18, 4)) as before_cost_usd,
        cast(gathered.after_cost_usd as decimal(18, 4)) as after_cost_usd
    from gathered
    window by_cause as (partition by gathered.root_cause_id);

comment on macro table cause_change is -- noqa: PRS
'An error of one of two experiments, or of both; grain: experiment_id, before_experiment_id, root_cause_id, signature
experiment_id: the later experiment [id]
before_experiment_id: the earlier experiment that it is compared with [id]
root_cause_id: the root cause [id]
signature: hash of the normalized error; same hash = identical error; null = not examined yet [id]
category: root cause category [name]
change: recurring (in both), new, returned (not before, but in an experiment older than after), fixed (disappeared, and a cell it affected has succeeded since), unproven (disappeared, but none has) or unexamined [name]
root_cause_change: the same by root_cause_id: a cause may recur with another signature [name]
remedy: auto, config, code or unrecoverable (needs a person) [name]
root_cause: the cause in one sentence [text]
evidence: the line that determined the cause, newest failure, redacted [text]
before_attempt_count: attempts that failed with it before [count]
after_attempt_count: attempts that failed with it after [count]
before_condition_count: conditions that it affected before [count]
after_condition_count: conditions that it affected after [count]
matched_cell_count: cells that it affected before and that the later experiment has too [count]
succeeded_cell_count: matched cells in which all conditions succeeded after [count]
earlier_count: other bound experiments older than after with the identical error [count]
before_cost_usd: known cost of the attempts that failed with it before; null = unknown or none [USD]
after_cost_usd: known cost of the attempts that failed with it after; null = unknown or none [USD]';
