"""The one phase that cancels: the jobs that the kill switch proposes, or that a person selects.

Only ``cancel`` changes anything; ``proposed`` returns what it would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmon.cancel.canceller import Canceller, WaitLimits
from fmon.cancel.targets import CancelRequest, Target, find_targets
from fmon.errors import QueueError
from fmon.events import CancelEvent, CancelRequestedEvent
from fmon.job_key import job_id_of
from fmon.monitor.refresh import refresh
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fmon.clock import Clock
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter
    from fmon.study import Study

__all__ = ["CancelRequest", "Cancelled", "Target", "WaitLimits", "cancel", "is_to_act", "proposed"]


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The jobs to cancel, or the result of cancelling them.

    Attributes
    ----------
    targets
        The jobs, with their status as last seen.
    left
        Those of them that are not known to have ended.
    in_flight
        Conditions whose launch is still in flight: its job would not be cancelled.
    spared
        Jobs that the kill switch proposed, and that have passed the failure point since.
    no_action_reason
        Why there is nothing to cancel.
    is_proposal
        Nothing was done.
    is_dry
        The experiment is a replay: recorded, but nothing was sent to SkyPilot.
    error
        Why the last poll, or the last request, failed.
    """

    experiment_id: str
    targets: list[Target] = field(default_factory=list)
    left: list[Target] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    no_action_reason: str = ""
    is_proposal: bool = False
    is_dry: bool = False
    error: QueueError | None = None

    def sentences(self) -> list[str]:
        """Return what happened, for stderr."""
        sentences = []
        if self.spared:
            jobs = listed(map(str, self.spared))
            sentences.append(f"spared, since they have passed the failure point: job {jobs}")
        ended = len(self.targets) - len(self.left)
        if not self.targets:
            sentences.append(f"{self.experiment_id}: nothing to cancel: {self.no_action_reason}")
        elif self.is_proposal:
            sentences.append(f"{self.experiment_id}: {_jobs(ended)} would be cancelled; nothing was changed")
        elif self.is_dry:
            sentences.append(f"{self.experiment_id} is a replay: recorded, but nothing was sent to SkyPilot")
        else:
            sentences.append(f"{self.experiment_id}: {counted(ended, 'job has', 'jobs have')} ended")
        return sentences

    def fault(self) -> QueueError | None:
        """Return the error about jobs that have not ended; None = all have."""
        why = [_jobs(len(self.left)) + f" not known to have ended: {listed(map(_description, self.left))}"]
        why = why if self.left else []
        if self.in_flight:
            why.append(f"launches still in flight: {listed(self.in_flight)}")
        if self.error:
            why.append(str(self.error))
        if not why:
            return None
        advice = "Jobs already cancelled stay cancelled; run the command again"
        message = f"{self.experiment_id}: {'; '.join(why)}. {advice}"
        return QueueError(message, error_type=self.error.error_type if self.error else "StillOpen")


def proposed(study: Study, request: CancelRequest, *, now: datetime) -> Cancelled:
    """Return which jobs would be cancelled as of the last poll, and why; changes nothing.

    Parameters
    ----------
    study
        The experiment.
    request
        The jobs to cancel.
    now
        The clock [UTC].

    Raises
    ------
    ConfigError
        The experiment or a condition does not exist.
    """
    found = find_targets(study, request, now=now)
    return Cancelled(
        experiment_id=study.experiment_id,
        targets=found.targets,
        spared=[*map(job_id_of, found.spared)],
        no_action_reason=found.no_action_reason,
        is_proposal=True,
    )


def cancel(
    study: Study,
    request: CancelRequest,
    submitter: Submitter,
    queue: QueueReader,
    *,
    clock: Clock,
    limits: WaitLimits | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Cancelled:
    """Poll the queue, cancel the jobs that are still open, and poll until they have ended.

    Parameters
    ----------
    study, request
        As for ``proposed``.
    submitter, queue
        Cancels the jobs; reads the queue.
    clock
        The clock.
    limits
        How long to wait.
    progress
        Is told in a sentence what happens meanwhile.

    Returns
    -------
    Cancelled
        For a replay the proposal, recorded in its audit.

    Raises
    ------
    ConfigError
        The experiment or a condition does not exist.
    QueueError
        The first poll failed: nothing was cancelled.
    """
    if study.manifest.is_replay:
        return _write_dry(study, request, now=clock.now())
    canceller = Canceller(
        stored=study,
        request=request,
        submitter=submitter,
        queue=queue,
        clock=clock,
        limits=limits or WaitLimits(),
        progress=progress,
    )
    canceller.run()
    refresh(study.store, now=clock.now())
    return Cancelled(
        experiment_id=study.experiment_id,
        targets=canceller.now,
        left=canceller.left,
        in_flight=canceller.in_flight,
        spared=[job_id_of(key) for key in canceller.found.spared if key not in canceller.targets],
        no_action_reason=canceller.found.no_action_reason,
        error=canceller.error,
    )


def is_to_act(study: Study, *, now: datetime) -> bool:
    """Return whether the config lets ``watch`` and ``run`` cancel and the kill switch proposes jobs.

    Parameters
    ----------
    study, now
        As for ``proposed``.
    """
    if study.manifest.kill_switch != "act":
        return False
    return bool(find_targets(study, CancelRequest(by=""), now=now).targets)


def _write_dry(study: Study, request: CancelRequest, *, now: datetime) -> Cancelled:
    """Record what would be cancelled: the jobs of a replay are in no queue."""
    found = find_targets(study, request, now=now)
    if found.targets:
        job_ids = sorted(target.job_key for target in found.targets)
        fields: dict[str, Any] = {"at": now, "job_ids": job_ids, "reason": request.reason, "by": request.by}
        study.append(CancelRequestedEvent(firing_ids=found.firing_ids, **fields))
        study.append(CancelEvent(left_job_ids=[], **fields))
    return Cancelled(
        experiment_id=study.experiment_id,
        targets=found.targets,
        no_action_reason=found.no_action_reason,
        is_dry=True,
    )


def _jobs(count: int) -> str:
    return counted(count, "job")


def _description(target: Target) -> str:
    return f"{target.condition_id} (job {target.job_id}, {target.status or 'not seen yet'})"
