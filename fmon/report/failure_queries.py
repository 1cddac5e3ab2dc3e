"""The queries of the report about failures: causes, suspects, locations and actions.

As in ``queries``, lists are bounded here, and each row has the number of all rows.
"""

from fmon.diagnose.root_causes import SUSPECT

CAUSES = """
select
    cause.root_cause_id,
    cause.category,
    cause.subcategory,
    cause.remedy,
    left(cause.root_cause, $most_characters) as root_cause,
    cause.exception_class,
    left(cause.evidence, $most_characters) as evidence,
    cause.evidence_source,
    cause.runner_up,
    cause.rule,
    cause.transient_evidence,
    cause.is_transient,
    cause.failed_count,
    cause.evidence_job_id,
    cause.evidence_job_key,
    cause.evidence_line,
    cause.exit_codes,
    cause.unpriced_count,
    cause.confidence,
    cause.cost_usd,
    cause.first_failed_at,
    cause.last_failed_at,
    cause.condition_ids[:$most_ids] as condition_ids,
    cause.job_ids[:$most_ids] as job_ids,
    cause.affected_files[:$most_ids] as affected_files,
    len(cause.affected_files) as file_count,
    len(cause.signatures) as signature_count,
    count(*) over () as total
from cause
order by cause.failed_count desc, cause.cost_usd desc nulls last, cause.root_cause_id
limit $most
"""

# How many conditions failed with how many causes, including those that the page has no room for.
FAILURE_SUMMARY = """
select
    failure_summary.failed_count,
    failure_summary.unexamined_count,
    failure_summary.cause_count
from failure_summary
"""


SUSPECTS = f"""
{SUSPECT}
where list_contains($root_cause_ids, suspect.root_cause_id)
order by suspect.root_cause_id, suspect.round
"""

CLUSTERS = """
select
    failure_cluster.root_cause_id,
    failure_cluster.factor,
    failure_cluster.level,
    failure_cluster.failed_count,
    failure_cluster.total_count,
    failure_cluster.failure_ratio,
    failure_cluster.lift,
    failure_cluster.p_value,
    count(*) over (partition by failure_cluster.root_cause_id, failure_cluster.factor) as level_total
from failure_cluster
left join coverage
    on failure_cluster.factor = coverage.factor and failure_cluster.level = coverage.level
where list_contains($root_cause_ids, failure_cluster.root_cause_id)
qualify
    row_number() over (
        partition by failure_cluster.root_cause_id, failure_cluster.factor
        order by coverage.level_number, failure_cluster.level
    ) <= $most
order by
    min(coverage.factor_number) over (partition by failure_cluster.factor) nulls last,
    failure_cluster.factor,
    coverage.level_number nulls last,
    failure_cluster.level,
    failure_cluster.root_cause_id
"""

CAUSE_MATRIX = """
select
    matrix.row_level,
    matrix.column_level,
    matrix.root_cause_id,
    matrix.failed_count
from cause_matrix($experiment, $row, $column) as matrix
where list_contains($row_levels, matrix.row_level) and list_contains($column_levels, matrix.column_level)
order by matrix.failed_count desc, matrix.root_cause_id
"""

CAUSE_CYCLES = """
select
    cause_cycle.root_cause_id,
    cause_cycle.cycle,
    cause_cycle.attempt_count,
    cause_cycle.condition_count,
    cause_cycle.recovered_count,
    cause_cycle.unpriced_count,
    cause_cycle.detection_latency_s,
    cause_cycle.wasted_usd,
    count(*) over () as total
from cause_cycle
order by cause_cycle.wasted_usd desc nulls last, cause_cycle.root_cause_id, cause_cycle.cycle
limit $most
"""

HISTORY = """
select
    action_history.event_number,
    action_history.kind,
    action_history.person,
    left(action_history.what, $most_characters) as what,
    action_history.cycle,
    action_history.occurred_at,
    count(*) over () as total
from action_history
order by action_history.event_number
limit $most
"""

FIRINGS = """
select
    kill_switch.firing_id,
    kill_switch.trigger,
    kill_switch.category,
    kill_switch.no_action_reason,
    kill_switch.combination,
    kill_switch.failed_job_ids[:$most_ids] as failed_job_ids,
    kill_switch.cancel_job_ids[:$most_ids] as cancel_job_ids,
    len(kill_switch.cancel_job_ids) as cancel_count,
    kill_switch.cycle,
    kill_switch.failed_count,
    kill_switch.failure_point_s,
    kill_switch.fired_at,
    count(*) over () as total
from kill_switch
order by kill_switch.firing_id
limit $most
"""

# How soon failures were noticed; it can be negative if the clocks of two machines differ.
DETECTION = """
select
    failure_summary.attempt_count as failed_count,
    failure_summary.detection_latency_s as median_s,
    failure_summary.longest_latency_s as longest_s
from failure_summary
"""

AUDIT = """
select
    audit.criterion,
    audit.result,
    audit.is_ok,
    left(audit.evidence, $most_characters) as evidence,
    audit.violation_count
from audit
order by audit.criterion_number
"""
