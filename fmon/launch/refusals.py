"""What launch refuses before the first job is paid for, and plan already where it is certain.

The budget is no refusal but a question; ``gates`` has what ``plan`` shows as well.
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
    from fmon.launch.estimate import Estimate
    from fmon.launch.preflight import Check
    from fmon.model import Experiment, Limits, Manifest, Record


def refuse_job_names(experiment: Experiment) -> None:
    """Refuse names that SkyPilot would read as something else: such a job stays PENDING for ever."""
    found = misread_names(experiment.conditions)
    if not found:
        return
    condition, read = next(iter(found.values()))
    others = f" (and those of {len(found) - 1:,} more conditions)" if len(found) > 1 else ""
    # A baseline that lacks a factor is not named by the template.
    remedy = (
        f'job_name: "{readable_template(experiment.factors)}"'
        if condition.factors.keys() >= experiment.factors.keys()
        else f'job_name: "baseline-{condition.condition_id}" in that baseline'
    )
    message = (
        f"{experiment.config_file}: the job of condition {condition.condition_id} would be called "
        f"{condition.job_name!r}{others}, which SkyPilot reads as {read} and not as a name, and it would "
        f"stay PENDING for ever; write {remedy}"
    )
    raise ConfigError(message)


def refuse_bare_vm(experiment: Experiment, task: Task, *, is_allowed: bool) -> None:
    """Refuse jobs without a container image: nothing would say what code they ran."""
    check = image_check(task, experiment.docker_image)
    if check.result != "ok" and not is_allowed:
        message = f"{check.sentence}; or --allow-bare-vm, which the audit records"
        raise ConfigError(message)


def refuse_failed(looked: list[Check]) -> None:
    """Refuse by everything that fails, and where a limit can't be compared with an unknown price."""
    task = next(check for check in looked if check.name == "task")
    if task.result == "warn":
        raise QueueError(task.sentence, error_type="WorkerFailed")
    wrong = [
        check.sentence
        for check in looked
        if (check.name, check.result) == ("hourly", "warn")
        or (check.name != "budget" and check.result == "fail")
    ]
    if wrong:
        raise ConfigError(f"nothing was launched: {'; '.join(wrong)}")


def refuse_open_jobs(manifest: Manifest, records: list[Record]) -> None:
    """Refuse while somebody else's launcher has open jobs of the same names: each would be paid for twice."""
    found = strangers(manifest, records, {entry.job_name for entry in manifest.jobs if entry.job_id is None})
    if found:
        jobs = listed(f"{job_id} ({name})" for job_id, name in found.items())
        message = (
            f"open jobs have the names of conditions without a job and are not of {manifest.experiment_id}: "
            f"{jobs}; take them over (fmon adopt), cancel them (sky jobs cancel), or change job_name"
        )
        raise ConfigError(message)


def strangers(manifest: Manifest, records: list[Record], names: Collection[str]) -> dict[int, str]:
    """Find open jobs of the same user that have one of these names and are not the experiment's own.

    Parameters
    ----------
    manifest
        Of the experiment.
    records
        The queue.
    names
        Of the jobs that are to be launched.
    """
    own = {job_id for job_id, _ in jobs_of(manifest)}
    user = current_user()
    return {
        record.job_id: record.job_name or ""
        for record in records
        if record.job_name in names
        and record.job_id not in own
        and record.fmon_experiment != manifest.experiment_id
        and not is_terminal(record.status)
        and (user is None or record.user_hash in (None, user))
    }


def refuse_another_image(manifest: Manifest, image: str | None, digest: str | None) -> None:
    """Refuse to launch the rest of an experiment with another image than its first jobs."""
    before = manifest.docker_digest
    if before is None or before == digest or not jobs_of(manifest):
        return
    message = (
        f"{manifest.experiment_id} was launched with {before}, {image or 'no image'} is "
        f"{digest or 'unknown'} now: its conditions could not be compared; push the former image again, "
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
) -> bool:
    """Ask where the estimate exceeds the budget or can't be compared with it; return whether it did."""
    check = budget_check(found, limits)
    if check.result == "ok":
        return False
    confirm_over_budget(check.sentence, confirm, count=count, is_allowed=is_allowed)
    return True


def confirm_over_budget(
    sentence: str, confirm: Callable[[str], bool] | None, *, count: int, is_allowed: bool
) -> None:
    """Launch above the budget only where ``--over-budget`` allows it, or a person who is asked.

    Parameters
    ----------
    sentence
        estimate and budget
    confirm
        asks a person; None = no question may be asked
    count
        jobs to launch
    is_allowed
        ``--over-budget`` was given

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
