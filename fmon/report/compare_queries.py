"""What ``fmon compare`` asks of the views about two experiments.

Each query takes ``$before`` and ``$after``; what they mean is said in the macros of ``sql/`` that they read.
"""

FROZEN = ("condition_level", "coverage", "verdict", "outcome")
"""Views in dependency order to compute once, beside those of ``connect``: every query reads some of them."""

CONDITIONS = """
with cell as (
    select
        counterpart.side = 'both' as is_matched,
        counterpart.before_condition_count as before,
        counterpart.after_condition_count as after
    from counterpart($before, $after) as counterpart
)

select
    count(*) filter (where cell.is_matched) as matched_cell_count,
    cast(coalesce(sum(cell.before), 0) as bigint) as before_condition_count,
    cast(coalesce(sum(cell.after), 0) as bigint) as after_condition_count,
    cast(coalesce(sum(cell.before) filter (where cell.is_matched), 0) as bigint) as before_matched_count,
    cast(coalesce(sum(cell.after) filter (where cell.is_matched), 0) as bigint) as after_matched_count
from cell
"""

OUTSIDE = """
select
    counterpart.side,
    counterpart.kind,
    counterpart.cell,
    counterpart.before_condition_ids || counterpart.after_condition_ids as condition_ids
from counterpart($before, $after) as counterpart
where counterpart.side <> 'both'
order by counterpart.side desc, counterpart.entry_number
"""

OUTCOME = """
select
    experiment.experiment_id,
    experiment.created_at,
    experiment.now_at,
    outcome.condition_count,
    outcome.succeeded_count,
    outcome.failed_count,
    outcome.cancelled_count,
    outcome.open_count,
    outcome.missing_count,
    outcome.cycle_count,
    outcome.job_count,
    outcome.unpriced_count,
    round(outcome.run_h, 6) as run_h,
    round(outcome.run_h / nullif(outcome.succeeded_count, 0), 6) as run_per_success_h,
    outcome.cost_usd,
    outcome.cost_per_success_usd,
    outcome.detection_latency_s
from outcome
inner join experiment on outcome.experiment_id = experiment.experiment_id
where outcome.experiment_id in ($before, $after)
order by outcome.experiment_id <> $before
"""

MATCHED_OUTCOME = """
select
    matched_outcome.experiment_id,
    matched_outcome.condition_count,
    matched_outcome.succeeded_count,
    matched_outcome.failed_count,
    matched_outcome.unpriced_count,
    round(matched_outcome.run_h, 6) as run_h,
    round(matched_outcome.run_per_success_h, 6) as run_per_success_h,
    matched_outcome.cost_usd,
    matched_outcome.cost_per_success_usd
from matched_outcome($before, $after) as matched_outcome
order by matched_outcome.experiment_id <> $before
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

FLIPS = """
select
    flip.flip,
    flip.kind,
    flip.cell,
    flip.before_state,
    flip.after_state,
    flip.before_condition_ids,
    flip.after_condition_ids,
    flip.before_categories,
    flip.after_categories
from flip($before, $after) as flip
order by flip.flip desc, flip.entry_number
"""

QUERIES = (CONDITIONS, OUTSIDE, OUTCOME, MATCHED_OUTCOME, COVERAGE, CAUSES, SUSPECTS, FLIPS)
"""All of them; ``connect`` makes the views for it."""
