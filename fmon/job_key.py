"""The key of a managed job: SkyPilot reuses job ids after a jobs controller is torn down.

The key of the first job with an id is that id. The key of a later job with the same id also has the number of
the earlier ones in its high bits, so a key contains the id, and keys of one id sort by age. Ids are for
SkyPilot and users; joins use keys (docs/decisions/0029).
"""

from __future__ import annotations

ID_BITS = 40
MAX_JOB_ID = (1 << ID_BITS) - 1
"""Largest job id; SkyPilot counts from 1."""


def job_key(job_id: int, earlier_count: int = 0) -> int:
    """Return the key of a job.

    Parameters
    ----------
    job_id
        SkyPilot's id.
    earlier_count
        Number of earlier jobs with this id.
    """
    return job_id + earlier_count * (MAX_JOB_ID + 1)


def job_id_of(key: int) -> int:
    """Return SkyPilot's id of a job.

    Examples
    --------
    >>> job_id_of(job_key(7)), job_id_of(job_key(7, 2))
    (7, 7)
    """
    return key & MAX_JOB_ID


def earlier_count_of(key: int) -> int:
    """Return the number of earlier jobs with the same id."""
    return key >> ID_BITS


def later_key(keys: set[int], job_id: int) -> int:
    """Return the key of a new job, given the keys of all jobs that are known.

    Examples
    --------
    >>> later_key({7, 8}, 9), later_key({7, 8}, 7) == job_key(7, 1)
    (9, True)
    """
    counts = [earlier_count_of(key) for key in keys if job_id_of(key) == job_id]
    return job_key(job_id, max(counts) + 1 if counts else 0)
