"""Errors that stop a launch before the first job costs anything.

Exceeding the budget is a question, not an error; ``preflight`` has the checks that ``plan`` shows too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError, QueueError
from fmon.launch.job_names import misread_names, readable_template
from fmon.launch.preflight import budget_check, image_check
from fmon.manifest.build import jobs_of
from fmon.sky.endpoint import current_user
from fmon.sky.status import is_terminal
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fmon.config.task import Task
    from fmon.launch.check import Check
    from fmon.launch.estimate import Estimate
    from fmon.model import Experiment, Limits, Manifest, Record


def refuse_job_names(experiment: Experiment) -> None:
    """Raise an error for names that SkyPilot would misread: such a job stays PENDING forever."""
    found = misread_names(experiment.conditions)
    if not found:
        return
    condition, read = next(iter(found.values()))
    others = f" (and those of {counted(len(found) - 1, 'more condition')})" if len(found) > 1 else ""
    # The template does not name a baseline that lacks a factor.
    remedy = (
        f'job_name: "{readable_template(experiment.factors)}"'
        if condition.factors.keys() >= experiment.factors.keys()
        else f'job_name: "baseline-{condition.condition_id}" in that baseline'
    )
    message = (
        f"{experiment.config_file}: the job of condition {condition.condition_id} would be named "
        f"{condition.job_name!r}{others}, which SkyPilot reads as {read} and not as a name, so it would "
        f"stay PENDING forever; set {remedy}"
    )
    raise ConfigError(message)


def refuse_bare_vm(experiment: Experiment, task: Task, *, is_allowed: bool) -> None:
    """Raise an error for jobs without a container image: nothing would record what code they ran."""
    check = image_check(task, experiment.docker_image)
    if check.result != "ok" and not is_allowed:
        message = f"{check.sentence}; or use --allow-bare-vm, which the audit records"
        raise ConfigError(message)


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
