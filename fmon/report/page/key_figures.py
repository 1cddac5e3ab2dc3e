"""The first screen's bar of states and its key figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmon.warehouse.result import Row

from fmon.text import cost, cost_source, duration, money

WIDTH = 1000
MIN_WIDTH = 8
"""Minimum width of a state in the bar: one condition of a hundred thousand stays visible."""

SYMBOLS = {
    "succeeded": "✓",
    "failed": "✕",
    "lost": "?",
    "cancelled": "⊘",
    "running": "▶",
    "pending": "…",
    "missing": "○",
}
"""Symbols in the order of the bar. Colour alone is not enough: each state has a symbol and its name."""


def states_of(outcome: Row) -> list[Row]:
    """Divide the bar among the states.

    Parameters
    ----------
    outcome
        The row of SUMMARY.

    Returns
    -------
    list
        ``state``, ``symbol``, ``count``, ``x`` and ``width`` (out of WIDTH), in the order of the bar.
    """
    counts = {state: outcome[f"{state}_count"] for state in SYMBOLS if outcome[f"{state}_count"]}
    total = sum(counts.values())
    wide = {state: max(MIN_WIDTH, WIDTH * count / total) for state, count in counts.items()}
    scale = WIDTH / sum(wide.values()) if wide else 1
    found, x = [], 0.0
    for state, count in counts.items():
        width = wide[state] * scale
        found.append(
            {
                "state": state,
                "symbol": SYMBOLS[state],
                "count": count,
                "x": f"{x:.1f}",
                "width": f"{max(width - 3, 1):.1f}",
            }
        )
        x += width
    return found


def figures_of(outcome: Row, experiment: Row) -> list[tuple[str, str, str]]:
    """Return the key figures: label, value, note; those that are not known yet are left out."""
    wasted, spent, budget = outcome["wasted_usd"], outcome["cost_usd"], experiment["budget_usd"]
    is_known = wasted is not None and spent
    figures = [
        ("succeeded", f"{outcome['succeeded_count']:,}", f"of {outcome['condition_count']:,} conditions"),
        (
            "cost so far" if outcome["open_count"] else "cost",
            cost(spent, outcome["unpriced_count"]),
            cost_source(outcome["reported_count"], outcome["job_count"])
            + (f", budget {money(budget)}" if budget is not None else ""),
        ),
        ("wasted on failures", money(wasted), f"{wasted / spent:.0%} of the cost" if is_known else ""),
    ]
    if outcome["cost_per_success_usd"] is not None:
        note = "at least" if outcome["unpriced_count"] else "failures included"
        figures.append(("per success", money(outcome["cost_per_success_usd"]), note))
    if outcome["detection_latency_s"] is not None:
        figures.append(("detection delay", duration(outcome["detection_latency_s"]), "median"))
    jobs = f"{outcome['job_count']:,} job{'' if outcome['job_count'] == 1 else 's'}"
    cycles = f"{outcome['cycle_count']:,} cycle{'' if outcome['cycle_count'] == 1 else 's'}"
    figures.append(("run time", duration(float(outcome["run_h"]) * 3600), f"{jobs}, {cycles}"))
    return figures
