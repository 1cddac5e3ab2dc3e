"""The report for a person who decides on a cycle beyond the limit (F4): history and recommendation."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from fmon.rules.f3_rebuild_before_relaunch import without_fix
from fmon.warehouse import typed_rows

if TYPE_CHECKING:
    import duckdb

    from fmon.warehouse.result import Row

CAUSES = """
select
    cause_cycle.cycle,
    cause_cycle.root_cause_id,
    cause_cycle.category,
    cause_cycle.remedy,
    cause_cycle.root_cause,
    cause_cycle.condition_count,
    cause_cycle.recovered_count,
    cause_cycle.wasted_usd,
    cause_cycle.fixes,
    cause_cycle.no_fix_reasons
from cause_cycle
order by cause_cycle.cycle, cause_cycle.condition_count desc, cause_cycle.root_cause_id
"""

CYCLES = """
select
    cycle_cost.cycle,
    cycle_cost.job_count,
    cycle_cost.run_h,
    cycle_cost.cost_usd,
    cycle_cost.unpriced_count
from cycle_cost
order by cycle_cost.cycle
"""

LEFT = """
select distinct
    relaunch_candidate.root_cause_id,
    relaunch_candidate.remedy
from relaunch_candidate
where relaunch_candidate.reason = 'failed'
order by relaunch_candidate.root_cause_id
"""

QUERIES = (CAUSES, CYCLES, LEFT)
"""The queries of this module; ``connect`` creates the views that they need."""


class CauseOfCycle(msgspec.Struct, frozen=True):
    """A root cause in a cycle: the columns of ``CAUSES``.

    Attributes
    ----------
    recovered_count
        Number of its conditions that have succeeded since.
    fixes
        Fixes that a person recorded for it in this cycle.
    no_fix_reasons
        Why it was relaunched without a fix, as a person recorded in this cycle.
    """

    cycle: int
    root_cause_id: str
    category: str
    remedy: str | None
    root_cause: str | None
    condition_count: int
    recovered_count: int
    wasted_usd: Decimal | None
    fixes: list[str]
    no_fix_reasons: list[str]


class CostOfCycle(msgspec.Struct, frozen=True):
    """The cost of a cycle: the columns of ``CYCLES``."""

    cycle: int
    job_count: int
    run_h: float | None
    cost_usd: Decimal | None
    unpriced_count: int


class CauseLeft(msgspec.Struct, frozen=True):
    """A root cause of conditions that still fail: the columns of ``LEFT``."""

    root_cause_id: str
    remedy: str | None


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """The report for the person who decides.

    Attributes
    ----------
    cycle
        The cycle that is not authorized.
    causes
        Root causes of each cycle.
    cycles
        Cost of each cycle.
    condition_count
        Number of conditions to relaunch.
    estimate_usd
        Their estimated cost; None = unknown.
    recommendation
        One sentence.
    """

    experiment_id: str
    cycle: int
    causes: list[CauseOfCycle]
    cycles: list[CostOfCycle]
    condition_count: int
    estimate_usd: Decimal | None
    recommendation: str

    def document(self) -> Row:
        """Return the report as one JSON object."""
        return {
            "experiment_id": self.experiment_id,
            "cycle": self.cycle,
            "causes": [asdict(row) for row in self.causes],
            "cycles": [asdict(row) for row in self.cycles],
            "condition_count": self.condition_count,
            "estimate_usd": self.estimate_usd,
            "recommendation": self.recommendation,
        }


def escalation(
    con: duckdb.DuckDBPyConnection,
    experiment_id: str,
    *,
    cycle: int,
    condition_count: int,
    estimate_usd: Decimal | None,
) -> Escalation:
    """Build the report.

    Parameters
    ----------
    con
        A connection with the views of the experiment, at least those of ``QUERIES``.
    experiment_id, cycle
        The experiment and the cycle to decide on.
    condition_count, estimate_usd
        Size and estimated cost of that cycle.
    """
    causes = typed_rows(con, CAUSES, CauseOfCycle)
    return Escalation(
        experiment_id=experiment_id,
        cycle=cycle,
        causes=causes,
        cycles=typed_rows(con, CYCLES, CostOfCycle),
        condition_count=condition_count,
        estimate_usd=estimate_usd,
        recommendation=_recommendation(causes, typed_rows(con, LEFT, CauseLeft), cycle),
    )


def _recommendation(causes: list[CauseOfCycle], left: list[CauseLeft], cycle: int) -> str:
    """Return a recommendation: a cause that came back after its fix will come back again."""
    seen_in: dict[str, list[CauseOfCycle]] = {}
    for row in causes:
        seen_in.setdefault(row.root_cause_id, []).append(row)
    stubborn = [
        _came_back(row.root_cause_id, cycles)
        for row in left
        if row.remedy != "auto" and len(cycles := seen_in.get(row.root_cause_id, [])) > 1
    ]
    if stubborn:
        return (
            f"do not run cycle {cycle} yet: {'; '.join(stubborn)}; find the reason with a single job "
            "(sky jobs launch), and report what can't be fixed with fmon issues"
        )
    if left and all(row.remedy == "auto" for row in left):
        return (
            f"cycle {cycle} may succeed if the outage is over: nothing needs a fix, every remaining cause is "
            "outside the code and the settings"
        )
    if left:
        new = ", ".join(row.root_cause_id for row in left)
        return f"cycle {cycle} may succeed after a fix: {new} appeared only in the last cycle"
    return f"cycle {cycle} would only relaunch cancelled or lost conditions"


def _came_back(root_cause_id: str, cycles: list[CauseOfCycle]) -> str:
    """Say that a cause came back, and what had been tried in all cycles but its newest."""
    fixes = [fix for row in cycles[:-1] for fix in row.fixes]
    reasons = [reason for row in cycles[:-1] for reason in row.no_fix_reasons]
    if fixes:
        return f"{root_cause_id} came back despite its fix ({'; '.join(fixes)})"
    if reasons:
        return f"{root_cause_id} came back after it was {without_fix('; '.join(reasons))}"
    return f"{root_cause_id} came back, and no fix for it is recorded"
