"""What a person needs who decides about a cycle beyond the allowed ones (F4): story and advice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

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
    cause_cycle.fixes
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
"""What is asked here; ``connect`` makes the views for it."""


class CauseOfCycle(msgspec.Struct, frozen=True):
    """A root cause in a cycle: the columns of ``CAUSES``.

    Attributes
    ----------
    recovered_count
        Those of its conditions that have succeeded since.
    fixes
        What a person recorded as done about it in this cycle.
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


class CostOfCycle(msgspec.Struct, frozen=True):
    """What a cycle has cost: the columns of ``CYCLES``."""

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
    """The diagnostic report.

    Attributes
    ----------
    cycle
        The one that nobody has authorized.
    causes
        What each cycle failed with.
    cycles
        What each cycle has cost.
    condition_count
        Conditions that would run again.
    estimate_usd
        What they would cost; None = unknown.
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
        """Give it as one JSON object."""
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
    """Put the report together.

    Parameters
    ----------
    con
        Views of the experiment, at least for ``QUERIES``.
    experiment_id, cycle
        What is asked for.
    condition_count, estimate_usd
        Of the cycle that would come.
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
    """Advise by what the earlier cycles have shown: a cause that came back after its fix will come again."""
    seen_in: dict[str, list[int]] = {}
    for row in causes:
        seen_in.setdefault(row.root_cause_id, []).append(row.cycle)
    stubborn = [
        row.root_cause_id
        for row in left
        if row.remedy != "auto" and len(seen_in.get(row.root_cause_id, [])) > 1
    ]
    if stubborn:
        return (
            f"do not run cycle {cycle} yet: {', '.join(stubborn)} came back in spite of its fix; find it "
            "with one job by hand (sky jobs launch), and write down what can't be fixed: fmon issues"
        )
    if left and all(row.remedy == "auto" for row in left):
        return (
            f"cycle {cycle} may succeed if the outage is over: nothing is to be fixed, every cause left is "
            "outside of the code and the settings"
        )
    if left:
        new = ", ".join(row.root_cause_id for row in left)
        return f"cycle {cycle} may do once it is fixed: {new} came up only in the last cycle"
    return f"cycle {cycle} would only run again what was cancelled or lost"
