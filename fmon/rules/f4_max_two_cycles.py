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
    most: int,
    budgets: Mapping[int, Decimal],
    estimate_usd: Decimal | None,
) -> None:
    """F4: after two relaunches a person decides, cycle by cycle and for a stated sum.

    Parameters
    ----------
    cycle
        The one to launch.
    most
        Relaunches allowed without a person.
    budgets
        What a person has authorized, by cycle [USD].
    estimate_usd
        What this cycle will cost; None = unknown.

    Raises
    ------
    RuleError
        Exit code 24; nobody has authorized this cycle, or for less than it will cost.

    Notes
    -----
    Prevents fixing and relaunching without end, and the bill for it.
    """
    if cycle <= most:
        return
    if cycle not in budgets:
        raise RuleError(
            4,
            f"{counted(most, 'relaunch is', 'relaunches are')} allowed, this would be number {cycle}. "
            f"A person may authorize exactly this one: fmon relaunch --authorize-cycle {cycle} --budget USD",
        )
    if estimate_usd is not None and estimate_usd > budgets[cycle]:
        raise RuleError(
            4,
            f"cycle {cycle} is authorized for ${budgets[cycle]:,.2f} and will cost about "
            f"${estimate_usd:,.2f}; authorize it for more, or cancel conditions that need not run",
        )
