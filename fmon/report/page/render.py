"""The HTML page: facts in, one self-contained file out, at most a megabyte."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from fmon.report.page.budget import SIZES
from fmon.report.page.cause_cards import cards_of, level_matrix_of
from fmon.report.page.cost_bars import by_cause, by_cycle, by_level, reconciled
from fmon.report.page.document import MAX_BYTES, document
from fmon.report.page.heat_map import matrix_of
from fmon.report.page.key_figures import figures_of, states_of
from fmon.report.page.sources import sources_of
from fmon.report.page.timeline import bars_of, strip_of
from fmon.report.page.verdict import verdict_of
from fmon.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.report.page.budget import Size
    from fmon.report.page.facts import Facts
    from fmon.warehouse.result import Row

STYLES = ("base.css", "page.css", "print.css")
SCRIPTS = ("heat.js", "conditions.js", "print.js")


def render(facts: Facts) -> str:
    """Return the page; the same facts give the same bytes."""
    for size in SIZES:
        page = _render(facts, size)
        if len(page.encode()) <= MAX_BYTES:
            return page
    return page


def _render(facts: Facts, size: Size) -> str:
    cards = cards_of(facts.causes, facts.suspects, facts.excerpts, size)
    matrix = matrix_of(facts.levels, facts.matrices, facts.cause_matrices, cards, size)
    return document(
        "page.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        filters={"name": lambda text: cut(text, size.name_characters), "number": number},
        **_values(facts, size, cards, matrix),
    )


def _values(facts: Facts, size: Size, cards: list[Row], matrix: Row | None) -> Row:
    """Return the variables of the templates."""
    experiment = facts.experiment
    tags = {card["root_cause_id"]: card for card in cards}
    return {
        "facts": facts,
        "experiment": experiment,
        "outcome": facts.outcome,
        "size": size,
        "verdict": verdict_of(
            facts.outcome,
            facts.failure_summary,
            facts.causes,
            facts.suspects,
            budget_usd=experiment["budget_usd"],
        ),
        "states": states_of(facts.outcome),
        "figures": figures_of(facts.outcome, experiment),
        "cards": cards,
        "level_matrix": level_matrix_of(facts.clusters, cards, size),
        "matrix": matrix,
        "cycle_costs": by_cycle(facts.cycles),
        "cause_costs": by_cause(facts.cause_cycles, tags),
        "factors": [
            (factor, by_level(list(rows))) for factor, rows in groupby(facts.levels, itemgetter("factor"))
        ],
        "bars": bars_of(facts.spans, size),
        "has_runs": bool(facts.runs or facts.stray_run_count or facts.untracked),
        "metrics": metrics_of(facts.runs, size),
        "strip": strip_of(facts.spans, facts.parts, size),
        "sources": sources_of(experiment["experiment_id"], matrix["pair"] if matrix else None),
        "reconciled": reconciled,
    }


def metrics_of(runs: Sequence[Row], size: Size) -> list[str]:
    """Return the names of the metrics to show, in the order in which the runs have them."""
    return list(dict.fromkeys(name for run in runs for name in run["metrics"]))[: size.metrics]


def number(value: float | None) -> str:
    """Format a metric; None is empty.

    Examples
    --------
    >>> number(0.8571428), number(1234567.0), number(3e-05), number(float("nan")), number(None)
    ('0.8571', '1.235e+06', '3e-05', 'nan', '')
    """
    return "" if value is None else f"{value:.4g}"
