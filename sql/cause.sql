-- Every root cause of failures among the newest results: the affected conditions, the evidence, the cost, and
-- any evidence that it is transient. Conditions that have succeeded since do not count.
create or replace view cause as
with failed as materialized (
    select
        failure.experiment_id,
        failure.root_cause_id,
        failure.condition_id,
        failure.job_id,
        failure.job_key,
        failure.signature,
        failure.category,
        failure.subcategory,
        failure.remedy,
        failure.root_cause,
        failure.exception_class,
        failure.message,
        failure.evidence,
        failure.source,
        failure.rule,
        failure.runner_up,
        failure.log_state,
        failure.affected_files,
        failure.is_newest,
        failure.cycle,
        failure.evidence_line,
        failure.exit_code,
        failure.confidence,
        failure.cost_usd,
        failure.failed_at,
        row_number() over (
            partition by failure.experiment_id, failure.root_cause_id
            order by
                failure.is_newest desc,
                failure.confidence desc,
                failure.evidence is null asc,
                failure.failed_at asc,
                failure.job_key asc
        ) as sureness
    from failure
),

-- A recovery alone is weak evidence, because SkyPilot also restarts programs that crash. It counts if the job
-- failed because it lost its machine, or if SkyPilot reported that and the error is about lost peers.
machine_taken as (
    select distinct
        failed.experiment_id,
        failed.root_cause_id,
        failed.condition_id
    from failed
    inner join snapshot
        on failed.experiment_id = snapshot.experiment_id and failed.job_key = snapshot.job_key
    where
        (failed.category = 'node_lost' and snapshot.recovery_count > 0)
        or (
            failed.category in ('node_lost', 'nccl_distributed')
            and concat_ws(' ', snapshot.details, snapshot.failure_reason) ilike '%preempted%'
        )
),

lifetime as (
    select
        job.experiment_id,
        job.condition_id,
        job.job_id,
        job.job_key,
        bool_and(job.state = 'succeeded') as has_succeeded,
        job.cycle,
        min(job.submitted_at) as submitted_at,
        max(job.end_at) as end_at
    from job
    group by job.experiment_id, job.condition_id, job.job_id, job.job_key, job.cycle
),

changing as (
    select
        failed.experiment_id,
        failed.cycle
    from failed
    where failed.remedy is distinct from 'auto'

    union

    select
        fix_record.experiment_id,
        fix_record.cycle
    from fix_record
    where not fix_record.is_without_fix
),

-- The same condition, unchanged: in parallel in the same cycle, or relaunched when nothing had to be fixed,
-- so that rule F3 requires the same image. Jobs that were restarted manually may have been changed.
unchanged as (
    select distinct
        failed.experiment_id,
        failed.root_cause_id,
        failed.condition_id
    from failed
    inner join lifetime as own
        on failed.experiment_id = own.experiment_id and failed.job_key = own.job_key
    inner join lifetime as other
        on
            failed.experiment_id = other.experiment_id
            and failed.condition_id = other.condition_id
            and other.has_succeeded
    where
        (own.cycle = other.cycle and own.submitted_at < other.end_at and other.submitted_at < own.end_at)
        or (
            own.cycle < other.cycle
            and not exists (
                select 1
                from changing
                where
                    changing.experiment_id = failed.experiment_id
                    and changing.cycle >= own.cycle
                    and changing.cycle < other.cycle
            )
        )
),

struck as (
    select
        failed.experiment_id,
        failed.root_cause_id,
        count(distinct failed.condition_id) as condition_count,
        count(distinct machine_taken.condition_id) as taken_count,
        count(distinct unchanged.condition_id) as unchanged_count,
        count(distinct coalesce(machine_taken.condition_id, unchanged.condition_id)) as passed_count
    from failed
    left join machine_taken
        on
            failed.experiment_id = machine_taken.experiment_id
            and failed.root_cause_id = machine_taken.root_cause_id
            and failed.condition_id = machine_taken.condition_id
    left join unchanged
        on
            failed.experiment_id = unchanged.experiment_id
            and failed.root_cause_id = unchanged.root_cause_id
            and failed.condition_id = unchanged.condition_id
    group by failed.experiment_id, failed.root_cause_id
),

gathered as (
    select
        failed.experiment_id,
        failed.root_cause_id,
        list(failed.condition_id order by failed.failed_at, failed.job_key) as condition_ids,
        list(failed.job_id order by failed.failed_at, failed.job_key) as job_ids,
        list(failed.job_key order by failed.failed_at, failed.job_key) as job_keys,
        list_sort(list_distinct(list(failed.signature))) as signatures,
        list_sort(list_distinct(list(failed.exit_code))) as exit_codes,
        count(*) as failed_count,
        count(*) filter (where failed.log_state is distinct from 'stored') as missing_log_count,
        count(*) filter (where failed.cost_usd is null) as unpriced_count,
        min(failed.confidence) as confidence,
        sum(failed.cost_usd) as cost_usd,
        min(failed.failed_at) as first_failed_at,
        max(failed.failed_at) as last_failed_at
    from failed
    where failed.is_newest
    group by failed.experiment_id, failed.root_cause_id
),

named_file as (
    select
        failed.experiment_id,
        failed.root_cause_id,
        unnest(failed.affected_files) as file,
        (failed.sureness, generate_subscripts(failed.affected_files, 1)) as depth
    from failed
    where failed.is_newest
),

placed_file as (
    select
        named_file.experiment_id,
        named_file.root_cause_id,
        named_file.file,
        min(named_file.depth) as depth
    from named_file
    group by named_file.experiment_id, named_file.root_cause_id, named_file.file
),

files as (
    select
        placed_file.experiment_id,
        placed_file.root_cause_id,
        list(placed_file.file order by placed_file.depth) as affected_files
    from placed_file
    group by placed_file.experiment_id, placed_file.root_cause_id
)

select
    gathered.experiment_id,
    gathered.root_cause_id,
    failed.category,
    failed.subcategory,
    failed.remedy,
    failed.root_cause,
    failed.exception_class,
    failed.message,
    failed.evidence,
    failed.source as evidence_source,
    failed.rule,
    failed.runner_up,
    nullif(
        concat_ws(
            '; ',
            case
                when struck.taken_count > 0
                    then format(
                        'SkyPilot recorded a preemption for {} of the {} conditions that failed with it',
                        struck.taken_count,
                        struck.condition_count
                    )
            end,
            case
                when struck.unchanged_count > 0
                    then format(
                        '{} of the {} conditions that failed with it succeeded unchanged in another attempt',
                        struck.unchanged_count,
                        struck.condition_count
                    )
            end
        ),
        ''
    ) as transient_evidence,
    gathered.condition_ids,
    gathered.job_ids,
    gathered.job_keys,
    gathered.signatures,
    gathered.exit_codes,
    coalesce(files.affected_files, []) as affected_files,
    2 * struck.passed_count > struck.condition_count as is_transient,
    gathered.failed_count,
    failed.job_id as evidence_job_id,
    failed.job_key as evidence_job_key,
    failed.evidence_line,
    gathered.missing_log_count,
    gathered.unpriced_count,
    gathered.confidence,
    cast(gathered.cost_usd as decimal(18, 4)) as cost_usd,
    gathered.first_failed_at,
    gathered.last_failed_at
from gathered
inner join failed
    on
        gathered.experiment_id = failed.experiment_id
        and gathered.root_cause_id = failed.root_cause_id
        and failed.sureness = 1
inner join struck
    on gathered.experiment_id = struck.experiment_id and gathered.root_cause_id = struck.root_cause_id
left join files
    on gathered.experiment_id = files.experiment_id and gathered.root_cause_id = files.root_cause_id;

comment on view cause is
'A root cause of failures that have not recovered since; grain: experiment_id, root_cause_id';
comment on column cause.experiment_id is 'the experiment [id]';
comment on column cause.root_cause_id is
'the root cause; unknown/unexamined = not examined yet [id]';
comment on column cause.category is 'root cause category; unknown = no rule decided [name]';
comment on column cause.subcategory is 'more specific than the category; null = none [name]';
comment on column cause.remedy is
'auto, config, code or unrecoverable (needs a person); null = not examined yet [name]';
comment on column cause.root_cause is 'the cause in one sentence [text]';
comment on column cause.exception_class is 'the exception that determined the cause; null = none [name]';
comment on column cause.message is 'its message, with the parts that differ between runs masked [text]';
comment on column cause.evidence is
'the line that determined the cause, from its most certain failure; null = none [text]';
comment on column cause.evidence_source is
'where it was found: log, controller_log, failure_reason or status; null = nowhere [name]';
comment on column cause.rule is 'the rule that determined the cause [name]';
comment on column cause.runner_up is 'the second best category/subcategory; null = none [name]';
comment on column cause.transient_evidence is
'evidence that it is transient, with counts; null = none [text]';
comment on column cause.condition_ids is 'affected conditions, in the order in which they failed [id]';
comment on column cause.job_ids is 'their jobs, in the same order [id]';
comment on column cause.job_keys is 'keys of these jobs [id]';
comment on column cause.exit_codes is
'the distinct exit codes of their programs, as stated by SkyPilot [id]';
comment on column cause.signatures is 'the distinct errors among them [id]';
comment on column cause.affected_files is 'project files that their logs name, deepest first [text]';
comment on column cause.is_transient is
'transient_evidence holds for more than half of the conditions that ever failed with it [bool]';
comment on column cause.failed_count is
'conditions whose newest result is a failure of this cause [count]';
comment on column cause.evidence_job_id is 'the job whose log has the evidence [id]';
comment on column cause.evidence_job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column cause.evidence_line is 'line number of the evidence in its stored log, from 1 [count]';
comment on column cause.missing_log_count is
'jobs without a stored log: classified from queue data only, or not yet [count]';
comment on column cause.unpriced_count is 'jobs whose cost is unknown [count]';
comment on column cause.confidence is
'lowest confidence of its failures; 0 = one is not examined yet [ratio]';
comment on column cause.cost_usd is 'known cost of these jobs; null = unknown [USD]';
comment on column cause.first_failed_at is 'the first conditions that failed [UTC]';
comment on column cause.last_failed_at is 'the last conditions that failed [UTC]';
