"""The one phase that cancels: what the kill switch proposes, or what a person names.

Without ``cancel`` nothing is changed: ``proposed`` only says what it would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmon.cancel.canceller import Canceller, WaitLimits
from fmon.cancel.targets import CancelRequest, Target, find_targets
from fmon.errors import QueueError
from fmon.events import CancelEvent, CancelRequestedEvent
from fmon.text import listed

if TYPE_CHECKING:
    from datetime import datetime

    from fmon.clock import Clock
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter
    from fmon.study import Study

__all__ = ["CancelRequest", "Cancelled", "Target", "WaitLimits", "cancel", "is_to_act", "proposed"]


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What is to be cancelled, or what became of it.

    Attributes
    ----------
    targets
        The jobs, with their status as last seen.
    left
        Those of them that are not known to have ended.
    flying
        Conditions whose launch is still in flight: its job would escape.
    spared
        Jobs that the kill switch proposed, and that have got past the failure point since.
    no_action_reason
        Why there is nothing to cancel.
    is_proposal
        Nothing was done.
    is_dry
        Of a replay: written down, nothing left this machine.
    error
        Why the last look, or the last wish, failed.
    """

    experiment_id: str
    targets: list[Target] = field(default_factory=list)
    left: list[Target] = field(default_factory=list)
    flying: list[str] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    no_action_reason: str = ""
    is_proposal: bool = False
    is_dry: bool = False
    error: QueueError | None = None

    def sentences(self) -> list[str]:
        """Say what happened, for stderr."""
        said = []
        if self.spared:
            jobs = listed(map(str, self.spared))
            said.append(f"spared, they got past the failure point meanwhile: job {jobs}")
        gone = len(self.targets) - len(self.left)
        if not self.targets:
            said.append(f"{self.experiment_id}: nothing to cancel: {self.no_action_reason}")
        elif self.is_proposal:
            said.append(f"{self.experiment_id}: {_jobs(gone)} would be cancelled; nothing was changed")
        elif self.is_dry:
            said.append(f"{self.experiment_id} is a replay: written down, nothing left this machine")
        else:
            said.append(f"{self.experiment_id}: {_jobs(gone)} gone")
        return said

    def fault(self) -> QueueError | None:
        """Say what is left; None where all are gone."""
        why = [_jobs(len(self.left)) + f" not known to have ended: {listed(map(_told, self.left))}"]
        why = why if self.left else []
        if self.flying:
            why.append(f"launches still in flight: {listed(self.flying)}")
        if self.error:
            why.append(str(self.error))
        if not why:
            return None
        advice = "Jobs already cancelled stay cancelled; run the command again"
        message = f"{self.experiment_id}: {'; '.join(why)}. {advice}"
        return QueueError(message, error_type=self.error.error_type if self.error else "StillOpen")


def proposed(study: Study, request: CancelRequest, *, now: datetime) -> Cancelled:
    """Tell which jobs would be cancelled as of the last poll, and why; changes nothing.

    Parameters
    ----------
    study
        The experiment.
    request
        What is to end.
    now
        The clock [UTC].

    Raises
    ------
    ConfigError
        There is no such experiment or condition.
    """
    found = find_targets(study, request, now=now)
    return Cancelled(
        experiment_id=study.experiment_id,
        targets=found.targets,
        spared=found.spared,
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
) -> Cancelled:
    """Cancel what a fresh look at the queue still shows, and look again until it is gone.

    Parameters
    ----------
    study, request
        As for ``proposed``.
    submitter, queue
        What cancels, and where the jobs are read from.
    clock
        The clock.
    limits
        How long to wait.

    Returns
    -------
    Cancelled
        Of a replay the proposal, written into its audit.

    Raises
    ------
    ConfigError
        There is no such experiment or condition.
    QueueError
        The first look failed: nothing was cancelled.
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
    )
    canceller.run()
    return Cancelled(
        experiment_id=study.experiment_id,
        targets=canceller.now,
        left=canceller.left,
        flying=canceller.flying,
        spared=[job_id for job_id in canceller.found.spared if job_id not in canceller.targets],
        no_action_reason=canceller.found.no_action_reason,
        error=canceller.error,
    )


def is_to_act(study: Study, *, now: datetime) -> bool:
    """Tell whether the config lets ``watch`` and ``run`` cancel, and the kill switch proposes something.

    Parameters
    ----------
    study, now
        As for ``proposed``.
    """
    if study.manifest.kill_switch != "act":
        return False
    return bool(find_targets(study, CancelRequest(by=""), now=now).targets)


def _write_dry(study: Study, request: CancelRequest, *, now: datetime) -> Cancelled:
    """Write down what would be cancelled: the jobs of a replay are in no queue."""
    found = find_targets(study, request, now=now)
    if found.targets:
        job_ids = sorted(target.job_id for target in found.targets)
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
    return "1 job" if count == 1 else f"{count:,} jobs"


def _told(target: Target) -> str:
    return f"{target.condition_id} (job {target.job_id}, {target.status or 'not seen yet'})"
