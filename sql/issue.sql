-- The root causes that fmon can't resolve; fmon issues writes them. At least one of the conditions whose
-- newest attempt failed with the cause can't be run again (remedy unrecoverable) or is out of cycles.
create or replace view issue as
with last_cycle as (
    select
        experiment.experiment_id,
        greatest(experiment.max_relaunch_cycles, coalesce(max(cycle_authorization.cycle), 0)) as cycle
    from experiment
    left join cycle_authorization on experiment.experiment_id = cycle_authorization.experiment_id
    group by experiment.experiment_id, experiment.max_relaunch_cycles
),

standing as (
    select
        failure.experiment_id,
        failure.root_cause_id,
        failure.category,
        failure.subcategory,
        failure.signature,
        failure.remedy,
        failure.root_cause,
        failure.evidence,
        failure.evidence_line,
        failure.source as evidence_source,
        failure.condition_id,
        failure.job_id,
        failure.job_key,
        failure.confidence,
        failure.affected_files,
        condition.manifest_position,
        coalesce(failure.remedy = 'unrecoverable', false) as is_unrecoverable,
        failure.cycle >= last_cycle.cycle as is_out_of_cycles
    from failure
    inner join condition
        on
            failure.experiment_id = condition.experiment_id
            and failure.condition_id = condition.condition_id
            and failure.job_key = condition.job_key
    inner join last_cycle on failure.experiment_id = last_cycle.experiment_id
    where condition.state = 'failed'
),

cause as (
    select
        standing.experiment_id,
        standing.root_cause_id,
        any_value(standing.category) as category,
        any_value(standing.subcategory) as subcategory,
        mode(standing.signature order by standing.signature) as signature,
        any_value(standing.remedy) as remedy,
        case when bool_or(standing.is_unrecoverable) then 'unrecoverable' else 'out_of_cycles' end as reason,
        -- The most certain failure represents all; if several are equal, the first in the manifest.
        arg_max(
            {
                root_cause: standing.root_cause,
                evidence: standing.evidence,
                evidence_line: standing.evidence_line,
                evidence_source: standing.evidence_source,
                job_id: standing.job_id,
                job_key: standing.job_key,
                affected_files: standing.affected_files
            },
            (standing.confidence, -standing.manifest_position)
        ) as shown,
        list(standing.condition_id order by standing.manifest_position) as condition_ids,
        count(*) as condition_count,
        max(standing.confidence) as confidence
    from standing
    group by standing.experiment_id, standing.root_cause_id
    having bool_or(standing.is_unrecoverable or standing.is_out_of_cycles)
),

wasted as (
    select
        failure.experiment_id,
        failure.root_cause_id,
        list(cast(failure.job_id as varchar) order by failure.job_key) as job_ids,
        count(*) as failed_count,
        count(*) filter (where failure.cost_usd is null) as unpriced_count,
        cast(sum(failure.cost_usd) as decimal(18, 4)) as cost_usd,
        max(failure.cycle) as cycle,
        min(failure.failed_at) as first_failed_at,
        max(failure.failed_at) as last_failed_at
    from failure
    group by failure.experiment_id, failure.root_cause_id
),

mended as (
    select
        fix_record.experiment_id,
        fix_record.root_cause_id,
        list(
            format(
                'after cycle {}, {} UTC, by {}: {}',
                fix_record.cycle,
                strftime(fix_record.fixed_at, '%Y-%m-%d %H:%M:%S'),
                coalesce(fix_record.person, 'unknown'),
                if(
                    fix_record.is_without_fix,
                    'relaunched without a fix: ' || fix_record.what,
                    fix_record.what
                )
            )
            order by fix_record.fixed_at, fix_record.event_position
        ) as fixes
    from fix_record
    group by fix_record.experiment_id, fix_record.root_cause_id
),

filed as (
    select
        filed_issue.experiment_id,
        filed_issue.root_cause_id,
        arg_max(filed_issue.url, row(filed_issue.filed_at, filed_issue.event_position)) as url,
        max(filed_issue.filed_at) as filed_at
    from filed_issue
    group by filed_issue.experiment_id, filed_issue.root_cause_id
)

select
    cause.experiment_id,
    cause.root_cause_id,
    cause.signature,
    cause.category,
    cause.subcategory,
    cause.remedy,
    cause.reason,
    cause.shown.root_cause,
    cause.shown.evidence,
    cause.shown.evidence_source,
    cause.shown.job_id as evidence_job_id,
    cause.shown.job_key as evidence_job_key,
    cause.shown.affected_files,
    cause.condition_ids,
    wasted.job_ids,
    coalesce(mended.fixes, []) as fixes,
    filed.url,
    cause.condition_count,
    wasted.failed_count,
    wasted.unpriced_count,
    wasted.cycle,
    cause.shown.evidence_line,
    cause.confidence,
    wasted.cost_usd,
    wasted.first_failed_at,
    wasted.last_failed_at,
    filed.filed_at
from cause
inner join wasted
    on cause.experiment_id = wasted.experiment_id and cause.root_cause_id = wasted.root_cause_id
left join mended
    on cause.experiment_id = mended.experiment_id and cause.root_cause_id = mended.root_cause_id
left join filed
    on cause.experiment_id = filed.experiment_id and cause.root_cause_id = filed.root_cause_id;

comment on view issue is 'A root cause that needs a person; grain: experiment_id, root_cause_id';
comment on column issue.experiment_id is 'the experiment [id]';
comment on column issue.root_cause_id is 'the root cause [id]';
comment on column issue.signature is 'the most frequent error among its failures [id]';
comment on column issue.category is 'root cause category [name]';
comment on column issue.subcategory is 'more specific than the category; null = none [name]';
comment on column issue.remedy is 'config, code, auto or unrecoverable; null = not examined yet [name]';
comment on column issue.reason is
'unrecoverable: it needs a person; out_of_cycles: still failing after the last allowed cycle [name]';
comment on column issue.root_cause is 'the cause in one sentence, from its most certain failure [text]';
comment on column issue.evidence is
'the line that determined the cause there, redacted; null = none [text]';
comment on column issue.evidence_source is
'where it was found: log, controller_log, failure_reason or status [name]';
comment on column issue.evidence_job_id is 'the job with the evidence [id]';
comment on column issue.evidence_job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column issue.affected_files is 'project files that its log names, deepest first [text]';
comment on column issue.condition_ids is 'conditions whose newest attempt failed with it [id]';
comment on column issue.job_ids is 'all jobs that failed with it, in any cycle [id]';
comment on column issue.fixes is 'recorded fixes, or reasons for relaunches without one, oldest first [text]';
comment on column issue.url is 'the issue that fmon filed for it; null = none [text]';
comment on column issue.condition_count is 'conditions whose newest attempt failed with it [count]';
comment on column issue.failed_count is 'attempts that failed with it, in any cycle [count]';
comment on column issue.unpriced_count is 'those of them whose cost is unknown [count]';
comment on column issue.cycle is 'newest cycle in which it failed [count]';
comment on column issue.evidence_line is 'line number of the evidence in the stored log, from 1 [count]';
comment on column issue.confidence is 'highest confidence of its failures [ratio]';
comment on column issue.cost_usd is 'known cost of these attempts; null = no cost is known [USD]';
comment on column issue.first_failed_at is 'the first conditions that failed [UTC]';
comment on column issue.last_failed_at is 'the last conditions that failed [UTC]';
comment on column issue.filed_at is 'when fmon last filed or found the issue; null = never [UTC]';
