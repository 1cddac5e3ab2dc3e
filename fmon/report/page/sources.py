"""The source of each section's numbers, as queries to paste into ``fmon sql``.

The page shows rows of views, so these are plain selects; a test runs each of them.
"""

from __future__ import annotations

import re

NAME = re.compile(r"\$\w+")

SOURCES = {
    "overview": (
        "select * from experiment_summary where experiment_id = $experiment",
        "select * from cause where experiment_id = $experiment order by failed_count desc",
        "select * from suspect where experiment_id = $experiment order by root_cause_id, round",
    ),
    "grid": (
        "select * from coverage_matrix($experiment, $row, $column)",
        "select * from cause_matrix($experiment, $row, $column)",
    ),
    "causes": (
        "select * from cause where experiment_id = $experiment order by failed_count desc",
        "select * from failure where experiment_id = $experiment order by failed_at",
        "select * from suspect where experiment_id = $experiment order by root_cause_id, round",
    ),
    "levels": (
        "select * from failure_cluster where experiment_id = $experiment and failed_count > 0 "
        "order by p_value",
    ),
    "reasons": (
        "select condition_id, status, failure_reason from job "
        "where experiment_id = $experiment and is_failed",
    ),
    "cost": (
        "select * from cycle_cost where experiment_id = $experiment order by cycle",
        "select * from cause_cycle where experiment_id = $experiment order by wasted_usd desc nulls last",
        "select * from coverage where experiment_id = $experiment order by factor_number, level_number",
    ),
    "timeline": ("select * from job where experiment_id = $experiment order by submitted_at",),
    "history": (
        "select * from action_history where experiment_id = $experiment order by event_number",
        "select * from kill_switch where experiment_id = $experiment order by firing_id",
    ),
    "audit": ("select * from audit where experiment_id = $experiment order by criterion_number",),
    "alarms": ("select * from alarm where experiment_id = $experiment order by raised_at",),
    "polls": (
        "select * from poll where experiment_id = $experiment order by gap_s desc nulls last",
        "select detected_at - failed_at as noticed_after, * from failure where experiment_id = $experiment",
    ),
    "runs": (
        "select * from run where experiment_id = $experiment",
        "select * from run_metric where experiment_id = $experiment and is_newest",
    ),
    "conditions": ("select * from condition where experiment_id = $experiment order by manifest_position",),
}
"""Section of the page -> queries; ``$experiment``, ``$row`` and ``$column`` stand for names."""

COMPARISON = {
    "experiment_summary": (
        "select * from experiment_summary where experiment_id in ($before, $after)",
        "select * from matched_summary($before, $after)",
    ),
    "causes": ("select * from cause_change($before, $after)",),
    "suspects": ("select * from suspect_change($before, $after)",),
    "state_changes": ("select * from state_change($before, $after)",),
    "coverage": (
        "select * from coverage_change($before, $after)",
        "select * from matched_condition($before, $after)",
    ),
}
"""Section of the page of a comparison -> queries; ``$before`` and ``$after`` stand for experiments."""


def sources_of(experiment_id: str, pair: tuple[str, str] | None) -> dict[str, tuple[str, ...]]:
    """Return the queries of the report, with the names filled in.

    Parameters
    ----------
    experiment_id
        The experiment.
    pair
        The factors of the heat map; None = there is none.
    """
    row, column = pair or ("", "")
    return _all_filled(SOURCES, {"$experiment": experiment_id, "$row": row, "$column": column})


def comparison_sources_of(before: str, after: str) -> dict[str, tuple[str, ...]]:
    """Return the queries of a comparison, with the experiments filled in."""
    return _all_filled(COMPARISON, {"$before": before, "$after": after})


def _all_filled(sources: dict[str, tuple[str, ...]], names: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {section: tuple(_filled(query, names) for query in found) for section, found in sources.items()}


def _filled(query: str, names: dict[str, str]) -> str:
    """Insert names as SQL strings, in one pass: a name may itself look like a placeholder."""
    return NAME.sub(lambda found: "'" + names[found[0]].replace("'", "''") + "'", query)
