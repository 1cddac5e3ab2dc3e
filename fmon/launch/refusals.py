"""Errors that stop a launch before the first job costs anything.

Exceeding the budget is a question, not an error; ``preflight`` has the checks that ``plan`` shows too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from fmon.errors import ConfigError, QueueError
from fmon.launch.preflight import budget_check
from fmon.manifest.build import jobs_of
from fmon.rules.f1_wait_for_terminal import UnfinishedCondition
from fmon.sky.endpoint import current_user
from fmon.sky.status import is_terminal
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fmon.launch.check import Check
    from fmon.launch.estimate import Estimate
    from fmon.model import Limits, Manifest, Record


def refuse_failed(results: list[Check]) -> None:
    """Raise an error for every failed check; a person may allow exceeding the budget."""
    task = next(check for check in results if check.name == "task")
    if task.result == "warn":
        raise QueueError(task.sentence, error_type="WorkerFailed")
    wrong = [check.sentence for check in results if check.name != "budget" and check.result == "fail"]
    if wrong:
        raise ConfigError(f"nothing was launched: {'; '.join(wrong)}")


def refuse_open_jobs(manifest: Manifest, records: list[Record]) -> None:
    """Raise an error if another launcher has open jobs of the same names: they would run twice."""
    found = unrelated_jobs(
        manifest, records, {entry.job_name for entry in manifest.jobs if entry.job_key is None}
    )
    if found:
        jobs = listed(f"{job_id} ({name})" for job_id, name in found.items())
        message = (
            f"open jobs have the names of conditions without a job, but do not belong to "
            f"{manifest.experiment_id}: {jobs}; adopt them (fmon adopt), cancel them "
            "(sky jobs cancel), or change job_name"
        )
        raise ConfigError(message)


def unrelated_jobs(manifest: Manifest, records: list[Record], names: Collection[str]) -> dict[int, str]:
    """Find open jobs of the same user that have one of these names but do not belong to the experiment.

    Parameters
    ----------
    manifest
        Manifest of the experiment.
    records
        Records of the queue, identified.
    names
        Names of the jobs to launch.
    """
    own = {key for key, _ in jobs_of(manifest)}
    user = current_user()
    return {
        record.job_id: record.job_name or ""
        for record in records
        if record.job_name in names
        and record.job_key not in own
        and record.fmon_experiment != manifest.experiment_id
        and not is_terminal(record.status)
        and (user is None or record.user_hash in (None, user))
    }


def open_jobs_of(
    manifest: Manifest, records: list[Record], condition_ids: Collection[str]
) -> list[UnfinishedCondition]:
    """Find the jobs of these conditions that the queue lists as open, in any cycle: for F1.

    Parameters
    ----------
    manifest
        Manifest of the experiment.
    records
        Records of the queue, identified.
    condition_ids
        The conditions to launch again.
    """
    chosen = [entry for entry in manifest.jobs if entry.condition in condition_ids]
    owners = {key: entry.condition for entry in chosen for key, _ in jobs_of(replace(manifest, jobs=[entry]))}
    return [
        UnfinishedCondition(owners[record.job_key], record.job_id, "open", record.status)
        for record in records
        if record.job_key in owners and not is_terminal(record.status)
    ]


def refuse_another_image(manifest: Manifest, image: str | None, digest: str | None) -> None:
    """Raise an error if the rest of an experiment would run with another image than its first jobs."""
    before = manifest.docker_digest
    if before is None or before == digest or not jobs_of(manifest):
        return
    message = (
        f"{manifest.experiment_id} was launched with {before}, but {image or 'no image'} is "
        f"now {digest or 'unknown'}: its conditions could not be compared; push the former image again, "
        "or give the config another experiment_name"
    )
    raise ConfigError(message)


def confirm_cost(
    limits: Limits,
    found: Estimate,
    confirm: Callable[[str], bool] | None,
    *,
    count: int,
    is_allowed: bool,
    accepted: Estimate | None = None,
) -> bool:
    """Ask if the estimate exceeds the budget or can't be compared with it; return whether it does.

    What was accepted before is not asked again: an estimate that is not higher than ``accepted``.
    """
    check = budget_check(found, limits)
    if check.result == "ok":
        return False
    if accepted is not None and _is_within(found, accepted):
        return True
    confirm_over_budget(check.sentence, confirm, count=count, is_allowed=is_allowed)
    return True


def _is_within(found: Estimate, accepted: Estimate) -> bool:
    """Return whether an estimate is not higher than another, nor less certain."""
    if len(found.unpriced) > len(accepted.unpriced):
        return False
    if accepted.cost_usd is None or found.cost_usd is None:
        return accepted.cost_usd is found.cost_usd
    return found.cost_usd <= accepted.cost_usd


def confirm_over_budget(
    sentence: str, confirm: Callable[[str], bool] | None, *, count: int, is_allowed: bool
) -> None:
    """Raise an error unless ``--over-budget`` or a person allows exceeding the budget.

    Parameters
    ----------
    sentence
        Estimate and budget.
    confirm
        Asks a person; None = do not ask.
    count
        Number of jobs to launch.
    is_allowed
        Whether ``--over-budget`` was given.

    Raises
    ------
    ConfigError
        It is not allowed, or the answer was no.
    """
    if is_allowed:
        return
    jobs = counted(count, "job")
    if confirm is None:
        raise ConfigError(f"nothing was launched: {sentence}; use --over-budget to launch {jobs} anyway")
    if not confirm(f"{sentence}. Launch {jobs} anyway?"):
        raise ConfigError("nothing was launched: you answered no")
