"""Compare the manifest with the config and the queue, for rule F5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.rules.f5_factorial_manifest import DuplicateJob, TrackedAttempt, f5_config_faults, f5_faults
from fmon.warehouse import typed_rows

if TYPE_CHECKING:
    import duckdb

    from fmon.study import Study

ATTEMPTS = """
select
    attempt_span.condition_id,
    attempt_span.cycle,
    attempt_span.job_id,
    attempt_span.is_seen or attempt_span.closed_at is not null as is_known
from attempt_span
where attempt_span.cycle < $cycle
order by attempt_span.cycle, attempt_span.job_key
"""

OPEN_DUPLICATES = """
select distinct
    job.condition_id,
    job.cycle,
    job.job_id
from job
where job.role = 'duplicate' and not job.is_terminal and job.is_seen
order by job.job_key
"""

QUERIES = (ATTEMPTS, OPEN_DUPLICATES)
"""The queries of this module; ``connect`` creates the views that they need."""


def untracked_faults(study: Study, con: duckdb.DuckDBPyConnection, *, cycle: int) -> list[str]:
    """Return what the manifest does not track.

    Parameters
    ----------
    study
        The experiment.
    con
        A connection with its views, at least those of ``QUERIES``.
    cycle
        The cycle to launch: its jobs that already exist need not have been seen by a poll.
    """
    attempts = typed_rows(con, ATTEMPTS, TrackedAttempt, {"cycle": cycle})
    return config_faults(study) + f5_faults(attempts, typed_rows(con, OPEN_DUPLICATES, DuplicateJob))


def config_faults(study: Study) -> list[str]:
    """Return how manifest and config differ, or that the config can't be read."""
    entries = [entry.condition for entry in study.manifest.jobs]
    try:
        experiment = study.experiment
    except ConfigError as fault:
        return [f"the config can't be used: {fault}"]
    configured = [condition.condition_id for condition in experiment.conditions]
    return f5_config_faults(configured, entries, expected_count=study.manifest.expected_job_count)
