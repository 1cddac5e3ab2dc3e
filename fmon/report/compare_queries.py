"""The queries of ``fmon compare`` about two experiments.

Each takes ``$before`` and ``$after``; the macros of ``sql/`` that they read define their meaning.
"""

CONDITIONS = """
select
    condition_overlap.matched_cell_count,
    condition_overlap.before_condition_count,
    condition_overlap.after_condition_count,
    condition_overlap.before_matched_count,
    condition_overlap.after_matched_count
from condition_overlap($before, $after) as condition_overlap
"""

OUTSIDE = """
select
    matched_condition.side,
    matched_condition.kind,
    matched_condition.cell,
    matched_condition.before_condition_ids || matched_condition.after_condition_ids as condition_ids
from matched_condition($before, $after) as matched_condition
where matched_condition.side <> 'both'
order by matched_condition.side desc, matched_condition.manifest_position
"""

SUMMARY = """
select
    experiment.experiment_id,
    experiment.created_at,
    experiment.now_at,
    experiment_summary.condition_count,
    experiment_summary.succeeded_count,
    experiment_summary.failed_count,
    experiment_summary.cancelled_count,
    experiment_summary.open_count,
    experiment_summary.missing_count,
    experiment_summary.cycle_count,
    experiment_summary.job_count,
    experiment_summary.unpriced_count,
    round(experiment_summary.run_h, 6) as run_h,
    round(experiment_summary.run_per_success_h, 6) as run_per_success_h,
    experiment_summary.cost_usd,
    experiment_summary.cost_per_success_usd,
    experiment_summary.detection_latency_s
from experiment_summary
inner join experiment on experiment_summary.experiment_id = experiment.experiment_id
where experiment_summary.experiment_id in ($before, $after)
order by experiment_summary.experiment_id <> $before
"""

MATCHED_SUMMARY = """
select
    matched_summary.experiment_id,
    matched_summary.condition_count,
    matched_summary.succeeded_count,
    matched_summary.failed_count,
    matched_summary.unpriced_count,
    round(matched_summary.run_h, 6) as run_h,
    round(matched_summary.run_per_success_h, 6) as run_per_success_h,
    matched_summary.cost_usd,
    matched_summary.cost_per_success_usd
from matched_summary($before, $after) as matched_summary
order by matched_summary.experiment_id <> $before
"""

COVERAGE = """
select
    coverage_change.factor,
    coverage_change.level,
    coverage_change.is_shared,
    coverage_change.before_expected_count,
    coverage_change.before_succeeded_count,
    coverage_change.before_failed_count,
    coverage_change.after_expected_count,
    coverage_change.after_succeeded_count,
    coverage_change.after_failed_count
from coverage_change($before, $after) as coverage_change
order by coverage_change.level_number
"""

CAUSES = """
select
    cause_change.change,
    cause_change.root_cause_change,
    cause_change.root_cause_id,
    cause_change.signature,
    cause_change.category,
    cause_change.remedy,
    cause_change.root_cause,
    cause_change.evidence,
    cause_change.before_attempt_count,
    cause_change.after_attempt_count,
    cause_change.before_condition_count,
    cause_change.after_condition_count,
    cause_change.matched_cell_count,
    cause_change.succeeded_cell_count,
    cause_change.earlier_count,
    cause_change.before_cost_usd,
    cause_change.after_cost_usd
from cause_change($before, $after) as cause_change
order by
    list_position(
        ['new', 'returned', 'recurring', 'unexamined', 'unproven', 'fixed'], cause_change.change
    ),
    cause_change.after_attempt_count desc,
    cause_change.before_attempt_count desc,
    cause_change.root_cause_id,
    cause_change.signature
"""

SUSPECTS = """
select
    suspect_change.side,
    suspect_change.root_cause_id,
    suspect_change.category,
    suspect_change.combination,
    suspect_change.before_statement,
    suspect_change.after_statement,
    suspect_change.before_failed_count,
    suspect_change.before_total_count,
    suspect_change.after_failed_count,
    suspect_change.after_total_count
from suspect_change($before, $after) as suspect_change
order by
    list_position(['after', 'both', 'before'], suspect_change.side),
    suspect_change.root_cause_id,
    suspect_change.combination::varchar
"""

STATE_CHANGES = """
select
    state_change.change,
    state_change.kind,
    state_change.cell,
    state_change.before_state,
    state_change.after_state,
    state_change.before_condition_ids,
    state_change.after_condition_ids,
    state_change.before_categories,
    state_change.after_categories
from state_change($before, $after) as state_change
order by state_change.change desc, state_change.manifest_position
"""

QUERIES = (CONDITIONS, OUTSIDE, SUMMARY, MATCHED_SUMMARY, COVERAGE, CAUSES, SUSPECTS, STATE_CHANGES)
"""The queries of this module; ``connect`` creates the views that they need."""
