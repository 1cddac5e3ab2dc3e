"""Rules F4 and F5 as pure decisions: how often may be relaunched, and what must be tracked for it (floor 2).

Beside ``fmon.rules.kill_switch``, for its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.errors import RuleError
from fmon.rules.kill_switch import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from decimal import Decimal

    Row = Mapping[str, Any]


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
    cycle : the one to launch
    most : relaunches allowed without a person
    budgets : what a person has authorized, by cycle [USD]
    estimate_usd : what this cycle will cost; None = unknown

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
            f"{_counted(most, 'relaunch', 'relaunches')} allowed, this would be number {cycle}. A person may "
            f"authorize exactly this one: fmon relaunch --authorize-cycle {cycle} --budget USD",
        )
    if estimate_usd is not None and estimate_usd > budgets[cycle]:
        raise RuleError(
            4,
            f"cycle {cycle} is authorized for ${budgets[cycle]:,.2f} and will cost about "
            f"${estimate_usd:,.2f}; authorize it for more, or cancel conditions that need not run",
        )


def f5_config_faults(
    configured: Collection[str], entries: Collection[str], *, expected_count: int
) -> list[str]:
    """Say which conditions the manifest does not track.

    Parameters
    ----------
    configured : conditions of the config as it is now
    entries : conditions of the manifest
    expected_count : its ``expected_job_count``
    """
    faults = []
    if unknown := sorted({*configured} - {*entries}):
        faults.append(f"the manifest lacks {listed(unknown)} of the config; fmon adopt CONFIG adds them")
    if gone := sorted({*entries} - {*configured}):
        faults.append(f"the config lacks {listed(gone)} of the manifest; put them back")
    if expected_count != len(entries):
        faults.append(f"{expected_count:,} jobs are expected, but {len(entries):,} conditions are tracked")
    return faults


def f5_faults(attempts: Iterable[Row], duplicates: Iterable[Row]) -> list[str]:
    """Say which jobs the manifest does not track.

    Parameters
    ----------
    attempts : of the manifest, with condition_id, cycle, job_id, is_known (a poll has shown it, or a person
        has closed it as lost)
    duplicates : further jobs of conditions that are still open: condition_id, cycle, job_id
    """
    faults = []
    if unseen := [_job(row) for row in attempts if not row["is_known"]]:
        faults.append(f"no poll has shown {listed(unseen)}; poll, or close it: fmon cancel CONDITION --lost")
    if twice := [_job(row) for row in duplicates]:
        faults.append(
            f"a second job of the same condition and cycle is open: {listed(twice)}; cancel one of the two "
            "(sky jobs cancel JOB)"
        )
    return faults


def f5_stranger_faults(strangers: Mapping[int, str]) -> list[str]:
    """Say which open jobs have the names of those to launch, though nobody has asked fmon for them.

    Parameters
    ----------
    strangers : job name by job id
    """
    if not strangers:
        return []
    told = listed([f"{job_id} ({name})" for job_id, name in strangers.items()])
    return [f"open jobs have the names of conditions to run again: {told}; cancel them (sky jobs cancel JOB)"]


def f5_factorial_manifest(faults: Sequence[str]) -> None:
    """F5: every condition has its entry, every attempt its one known job.

    Parameters
    ----------
    faults : of ``f5_config_faults``, ``f5_faults`` and ``f5_stranger_faults``

    Raises
    ------
    RuleError
        Exit code 25; says what is not tracked.

    Notes
    -----
    Prevents a grid that is part launched, part forgotten, and jobs that run twice.
    """
    if faults:
        raise RuleError(5, "; ".join(faults))


def _job(row: Row) -> str:
    return f"{row['condition_id']} (job {row['job_id']}, cycle {row['cycle']})"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one} is" if count == 1 else f"{count} {many} are"
