"""Rule F5: the manifest tracks every condition and every job of a relaunch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fmon.errors import RuleError
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


class DuplicateJob(msgspec.Struct, frozen=True):
    """Another job of a condition that already has one in the same cycle."""

    condition_id: str
    cycle: int
    job_id: int


class TrackedAttempt(DuplicateJob, frozen=True):
    """An attempt of the manifest; it is known once a poll has listed it or a person has closed it as lost."""

    is_known: bool


def f5_config_faults(
    configured: Collection[str], entries: Collection[str], *, expected_count: int
) -> list[str]:
    """Return one sentence for each kind of condition that the manifest does not track.

    Parameters
    ----------
    configured
        Conditions of the current config.
    entries
        Conditions of the manifest.
    expected_count
        ``expected_job_count`` of the manifest.
    """
    faults = []
    if unknown := sorted({*configured} - {*entries}):
        faults.append(
            f"the manifest lacks {listed(unknown)} of the config; run fmon adopt CONFIG to add them"
        )
    if removed := sorted({*entries} - {*configured}):
        faults.append(f"the config lacks {listed(removed)} of the manifest; restore them")
    if expected_count != len(entries):
        faults.append(f"{expected_count:,} jobs are expected, but {len(entries):,} conditions are tracked")
    return faults


def f5_faults(attempts: Iterable[TrackedAttempt], duplicates: Iterable[DuplicateJob]) -> list[str]:
    """Return one sentence for each kind of job that the manifest does not track.

    Parameters
    ----------
    attempts
        Attempts of the manifest.
    duplicates
        Other open jobs of the same conditions.
    """
    faults = []
    if unseen := [_job(row) for row in attempts if not row.is_known]:
        faults.append(
            f"no poll has listed {listed(unseen)}; run fmon poll, or close it: fmon cancel CONDITION --lost"
        )
    if twice := [_job(row) for row in duplicates]:
        faults.append(
            f"a second job of the same condition and cycle is open: {listed(twice)}; cancel one of the two "
            "(sky jobs cancel JOB)"
        )
    return faults


def f5_unrelated_job_faults(unrelated_jobs: Mapping[int, str]) -> list[str]:
    """Return a sentence about open jobs that fmon did not launch but that have the names of jobs to launch.

    Parameters
    ----------
    unrelated_jobs
        Job name by job id.
    """
    if not unrelated_jobs:
        return []
    jobs = listed([f"{job_id} ({name})" for job_id, name in unrelated_jobs.items()])
    return [f"open jobs have the names of conditions to relaunch: {jobs}; cancel them (sky jobs cancel JOB)"]


def f5_factorial_manifest(faults: Sequence[str]) -> None:
    """F5: every condition has one entry, and every attempt one known job.

    Parameters
    ----------
    faults
        From ``f5_config_faults``, ``f5_faults`` and ``f5_unrelated_job_faults``.

    Raises
    ------
    RuleError
        Exit code 25; names what is not tracked.

    Notes
    -----
    Prevents a grid that is launched in part and forgotten in part, and jobs that run twice.
    """
    if faults:
        raise RuleError(5, "; ".join(faults))


def _job(row: DuplicateJob) -> str:
    return f"{row.condition_id} (job {row.job_id}, cycle {row.cycle})"
