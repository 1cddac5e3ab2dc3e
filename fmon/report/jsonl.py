"""The JSONL of the report: DuckDB writes the lines, which is fast even for a million attempts.

``fmon/report.schema.json`` defines their content, ``docs/jsonl.md`` describes it.
"""

# DuckDB's own JSON has NaN, and times with a space, which other readers do not accept.
MACROS = """
create or replace temp macro utc(t) as
case
    when epoch_us(t) % 1000000 = 0 then strftime(make_timestamp(epoch_us(t)), '%Y-%m-%dT%H:%M:%SZ')
    else rtrim(strftime(make_timestamp(epoch_us(t)), '%Y-%m-%dT%H:%M:%S.%f'), '0') || 'Z'
end;
create or replace temp macro number(x) as case when isfinite(x) then x end;
"""

LAST = "select max(manifest_position) as last from condition"

# The conditions from $first to $last. An attempt that no poll has listed yet has only an id.
LINES = """
with batch as (
    select *
    from condition
    where condition.manifest_position between $first and $last
),

tried as (
    select
        coalesce(job.condition_id, attempt.condition_id) as condition_id,
        list(
            {
                cycle: coalesce(job.cycle, attempt.cycle),
                job_id: coalesce(job.job_id, attempt.job_id),
                task_id: job.task_id,
                role: coalesce(job.role, attempt.role),
                state: job.state,
                status: job.status,
                submitted_at: utc(job.submitted_at),
                start_at: utc(job.start_at),
                end_at: utc(job.end_at),
                detected_at: utc(job.detected_at),
                detection_latency_s: number(failure.detection_latency_s),
                run_s: number(job.run_s),
                machine_s: number(job.machine_s),
                cost_usd: job.cost_usd,
                estimate_usd: job.estimate_usd,
                reported_usd: job.reported_usd,
                price_usd_per_h: number(job.price_usd_per_h),
                price_source: job.price_source,
                recovery_count: job.recovery_count,
                cloud: job.cloud,
                region: job.region,
                zone: job.zone,
                failure_reason: job.failure_reason,
                category: failure.category,
                subcategory: failure.subcategory,
                root_cause_id: failure.root_cause_id,
                signature: failure.signature,
                root_cause: failure.root_cause,
                evidence: failure.evidence,
                exit_code: failure.exit_code,
                remedy: failure.remedy,
                confidence: number(failure.confidence)
            }
            order by
                coalesce(job.cycle, attempt.cycle), coalesce(job.job_key, attempt.job_key), job.task_id
        ) as attempts
    from attempt
    full join job on attempt.condition_id = job.condition_id and attempt.job_key = job.job_key
    -- The task that failed first explains the entire job; the others have no root cause of their own.
    left join failure on job.job_key = failure.job_key and job.task_id = failure.task_id
    where coalesce(job.condition_id, attempt.condition_id) in (select batch.condition_id from batch)
    group by coalesce(job.condition_id, attempt.condition_id)
)

select
    cast(
        to_json(
            {
                experiment_id: condition.experiment_id,
                condition_id: condition.condition_id,
                condition: condition.condition_id,
                kind: condition.kind,
                factors: cast(entry.levels as json),
                job_id: condition.job_id,
                job_name: condition.job_name,
                cycle: condition.cycle,
                relaunch_batch: coalesce(condition.cycle, 0),
                state: condition.state,
                status: condition.status,
                submitted_at: utc(condition.submitted_at),
                start_at: utc(condition.start_at),
                start_time: utc(condition.start_at),
                end_at: utc(condition.end_at),
                end_time: utc(condition.end_at),
                run_s: number(condition.run_s),
                duration_seconds: number(condition.run_s),
                expected_s: number(condition.expected_s),
                cost_usd: condition.cost_usd,
                unpriced_count: condition.unpriced_count,
                recovery_count: condition.recovery_count,
                category: condition.category,
                failure_category: failure.category,
                failure_root_cause: failure.root_cause_id,
                failure_reason: condition.failure_reason,
                mlflow_run_id: run.run_id,
                mlflow_url: run.url,
                metrics: map_from_entries(
                    list_transform(
                        map_entries(coalesce(run.metrics, map())),
                        lambda metric: {key: metric.key, value: number(metric.value)}
                    )
                ),
                attempts: coalesce(tried.attempts, [])
            }
        ) as varchar
    ) as line
from batch as condition
inner join entry on condition.condition_id = entry.condition_id
left join tried on condition.condition_id = tried.condition_id
left join failure
    on condition.condition_id = failure.condition_id and condition.job_key = failure.job_key
left join run on condition.condition_id = run.condition_id and run.is_newest
order by condition.manifest_position
"""
