"""The content of the page: the results of this package's queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fmon.diagnose.excerpt import Evidence
from fmon.report import failure_queries, queries
from fmon.report.page.budget import SIZES
from fmon.report.page.heat_map import pairs_of
from fmon.report.page.timeline import DENSITY, PARTS, TIMELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmon.diagnose.excerpt import Excerpt
    from fmon.warehouse.result import Row

Pair = tuple[str, str]


class Ask(Protocol):
    """Runs a query over the views of one experiment and returns its rows."""

    def __call__(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> list[Row]:
        """Run it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The content of the page: rows of the queries in this package.

    Attributes
    ----------
    matrices, cause_matrices
        Rows of MATRIX and CAUSE_MATRIX by pair of factors.
    excerpts
        Excerpts by root_cause_id, if the log with the evidence is stored.
    parts
        Rows of DENSITY.
    """

    experiment: Row
    outcome: Row
    polls: Row
    failure_summary: Row
    detection: Row
    alarms: list[Row]
    alarm_counts: list[Row]
    levels: list[Row]
    matrices: dict[Pair, list[Row]]
    cause_matrices: dict[Pair, list[Row]]
    causes: list[Row]
    suspects: list[Row]
    clusters: list[Row]
    cause_cycles: list[Row]
    excerpts: dict[str, Excerpt]
    reasons: list[Row]
    cycles: list[Row]
    reconciled: list[Row]
    history: list[Row]
    firings: list[Row]
    audit: list[Row]
    gaps: list[Row]
    failed_polls: list[Row]
    conditions: list[Row]
    runs: list[Row]
    stray_run_count: int
    spans: list[Row]
    parts: list[Row]
    unreconciled: str | None
    untracked: str | None


def gather(
    ask: Ask,
    excerpt: Callable[[Evidence], Excerpt | None],
    *,
    unreconciled: str | None = None,
    untracked: str | None = None,
) -> Facts:
    """Run all queries, with the limits of the largest page.

    Parameters
    ----------
    ask
        Runs a query.
    excerpt
        Returns the lines of the stored log around the evidence of a cause; None = there are none.
    unreconciled, untracked
        Why SkyPilot's own costs or MLflow's current runs are missing.
    """
    size = SIZES[0]
    characters = {"most_characters": size.reason_characters}
    experiment = ask(queries.EXPERIMENT)[0]
    levels = ask(queries.LEVELS, {"most": size.levels})
    causes = ask(failure_queries.CAUSES, {"most": size.causes, "most_ids": size.ids, **characters})
    shown_causes = {"root_cause_ids": [row["root_cause_id"] for row in causes]}
    matrices, cause_matrices = _matrices(ask, experiment["experiment_id"], levels)
    return Facts(
        experiment=experiment,
        outcome=ask(queries.SUMMARY)[0],
        polls=ask(queries.POLLS)[0],
        failure_summary=ask(failure_queries.FAILURE_SUMMARY)[0],
        detection=ask(failure_queries.DETECTION)[0],
        alarms=ask(queries.ALARMS, {"most": size.alarms}),
        alarm_counts=ask(queries.ALARM_COUNTS),
        levels=levels,
        matrices=matrices,
        cause_matrices=cause_matrices,
        causes=causes,
        suspects=ask(failure_queries.SUSPECTS, shown_causes) if causes else [],
        clusters=ask(failure_queries.CLUSTERS, {"most": size.levels, **shown_causes}) if causes else [],
        cause_cycles=ask(failure_queries.CAUSE_CYCLES, {"most": 2 * size.causes}),
        excerpts={row["root_cause_id"]: found for row in causes if (found := excerpt(_evidence(row)))},
        reasons=ask(queries.FAILURES, {"most": size.reasons, "most_ids": size.ids, **characters}),
        cycles=ask(queries.CYCLES),
        reconciled=ask(queries.RECONCILED),
        history=ask(failure_queries.HISTORY, {"most": size.events, **characters}),
        firings=ask(failure_queries.FIRINGS, {"most": size.polls, "most_ids": size.ids}),
        audit=ask(failure_queries.AUDIT, characters),
        gaps=ask(queries.GAPS, {"most": size.polls}),
        failed_polls=ask(queries.FAILED_POLLS, {"most": size.polls, **characters}),
        conditions=ask(
            queries.CONDITIONS, {"most": size.conditions, "most_of_many": size.conditions_of_many}
        ),
        runs=ask(queries.RUNS, {"most": size.runs}),
        stray_run_count=ask(queries.STRAY_RUNS)[0]["run_count"],
        spans=ask(TIMELINE, {"most": size.bars, "most_of_many": size.bars_of_many}),
        parts=ask(DENSITY, {"experiment": experiment["experiment_id"], "parts": PARTS}),
        unreconciled=unreconciled,
        untracked=untracked,
    )


def _matrices(
    ask: Ask, experiment_id: str, levels: list[Row]
) -> tuple[dict[Pair, list[Row]], dict[Pair, list[Row]]]:
    """Query the progress and the failures of each pair of factors, at the levels that are shown."""
    shown: dict[str, list[str]] = {}
    for row in levels:
        shown.setdefault(row["factor"], []).append(row["level"])
    parameters = {
        (row, column): {
            "experiment": experiment_id,
            "row": row,
            "column": column,
            "row_levels": shown[row],
            "column_levels": shown[column],
        }
        for row, column in pairs_of(levels)
    }
    return (
        {pair: ask(queries.MATRIX, values) for pair, values in parameters.items()},
        {pair: ask(failure_queries.CAUSE_MATRIX, values) for pair, values in parameters.items()},
    )


def _evidence(cause: Row) -> Evidence:
    return Evidence(
        text=cause["evidence"],
        source=cause["evidence_source"],
        job_key=cause["evidence_job_key"],
        line=cause["evidence_line"],
    )
