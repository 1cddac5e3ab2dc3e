"""Rule F4: at most two relaunch cycles, then a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import RuleError
from fmon.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal


def f4_max_two_cycles(
    cycle: int,
    *,
    max_cycles: int,
    budgets: Mapping[int, Decimal],
    estimate_usd: Decimal | None,
) -> None:
    """F4: after two relaunches a person decides on each further cycle and its budget.

    Parameters
    ----------
    cycle
        The cycle to launch.
    max_cycles
        Relaunches allowed without a person's authorization.
    budgets
        Budgets that a person has authorized, by cycle [USD].
    estimate_usd
        Estimated cost of this cycle [USD]; None = unknown.

    Raises
    ------
    RuleError
        Exit code 24; this cycle is not authorized, or for less than its estimated cost.

    Notes
    -----
    Prevents endless fixing and relaunching, and its cost.
    """
    if cycle <= max_cycles:
        return
    if cycle not in budgets:
        raise RuleError(
            4,
            f"{counted(max_cycles, 'relaunch is', 'relaunches are')} allowed, and this would be number "
            f"{cycle}. "
            f"A person may authorize this one cycle: fmon relaunch --authorize-cycle {cycle} --budget USD",
        )
    if estimate_usd is not None and estimate_usd > budgets[cycle]:
        raise RuleError(
            4,
            f"cycle {cycle} is authorized for ${budgets[cycle]:,.2f} but will cost about "
            f"${estimate_usd:,.2f}; authorize a higher budget, or cancel conditions that need not run",
        )
