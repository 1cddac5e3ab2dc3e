"""Rules F4 and F5 as pure decisions: how often may be relaunched, and what must be tracked for it.

Beside ``fmon.rules.kill_switch``, for its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fmon.errors import RuleError
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


class DuplicateJob(msgspec.Struct, frozen=True):
    """A further job of a condition that has one in the same cycle."""

    condition_id: str
    cycle: int
    job_id: int


class TrackedAttempt(DuplicateJob, frozen=True):
    """An attempt of the manifest; it is known once a poll has shown it, or a person has closed it as lost."""

    is_known: bool


def f5_config_faults(
    configured: Collection[str], entries: Collection[str], *, expected_count: int
) -> list[str]:
    """Say which conditions the manifest does not track.

    Parameters
    ----------
    configured
        Conditions of the config as it is now.
    entries
        Conditions of the manifest.
    expected_count
        Its ``expected_job_count``.
    """
    faults = []
    if unknown := sorted({*configured} - {*entries}):
        faults.append(f"the manifest lacks {listed(unknown)} of the config; fmon adopt CONFIG adds them")
    if gone := sorted({*entries} - {*configured}):
        faults.append(f"the config lacks {listed(gone)} of the manifest; put them back")
    if expected_count != len(entries):
        faults.append(f"{expected_count:,} jobs are expected, but {len(entries):,} conditions are tracked")
    return faults


def f5_faults(attempts: Iterable[TrackedAttempt], duplicates: Iterable[DuplicateJob]) -> list[str]:
    """Say which jobs the manifest does not track.

    Parameters
    ----------
    attempts
        Of the manifest, with condition_id, cycle, job_id, is_known (a poll has shown it, or a person has
        closed it as lost).
    duplicates
        Further jobs of conditions that are still open: condition_id, cycle, job_id.
    """
    faults = []
    if unseen := [_job(row) for row in attempts if not row.is_known]:
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
    strangers
        Job name by job id.
    """
    if not strangers:
        return []
    told = listed([f"{job_id} ({name})" for job_id, name in strangers.items()])
    return [f"open jobs have the names of conditions to run again: {told}; cancel them (sky jobs cancel JOB)"]


def f5_factorial_manifest(faults: Sequence[str]) -> None:
    """F5: every condition has its entry, every attempt its one known job.

    Parameters
    ----------
    faults
        Of ``f5_config_faults``, ``f5_faults`` and ``f5_stranger_faults``.

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


def _job(row: DuplicateJob) -> str:
    return f"{row.condition_id} (job {row.job_id}, cycle {row.cycle})"
