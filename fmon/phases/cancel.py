"""The one phase that cancels: what the kill-switch proposes, or what a person names (floor 7).

Without ``cancel`` nothing is changed: ``proposed`` only says what it would do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.aiming import Aim, Target, Wish, aim
from fmon.cancelling import Cancelling, Patience
from fmon.errors import QueueError
from fmon.manifests import named
from fmon.store.events import append_event
from fmon.store.folder import find
from fmon.store.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from fmon.model import Manifest
    from fmon.sky.queue import QueueReader
    from fmon.sky.submit import Submitter
    from fmon.store.folder import Store

__all__ = ["Cancelled", "Patience", "Target", "Wish", "cancel", "is_to_act", "proposed"]


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What is to be cancelled, or what became of it.

    Attributes
    ----------
    targets : the jobs, with their status as last seen
    left : those of them that are not known to have ended
    flying : conditions whose launch is still in flight: its job would escape
    spared : jobs that the kill-switch proposed, and that have got past the failure point since
    no_action_reason : why there is nothing to cancel
    is_proposal : nothing was done
    is_dry : of a replay: written down, nothing left this machine
    error : why the last look, or the last wish, failed
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
            jobs = named(map(str, self.spared))
            said.append(f"spared, they got past the failure point meanwhile: job {jobs}")
        gone = len(self.targets) - len(self.left)
        if not self.targets:
            said.append(f"{self.experiment_id}: nothing to cancel: {self.no_action_reason}")
        elif self.is_proposal:
            said.append(f"{self.experiment_id}: {_jobs(gone)} would be cancelled; --yes does it")
        elif self.is_dry:
            said.append(f"{self.experiment_id} is a replay: written down, nothing left this machine")
        else:
            said.append(f"{self.experiment_id}: {_jobs(gone)} gone")
        return said

    def fault(self) -> QueueError | None:
        """Say what is left; None where all are gone."""
        why = [_jobs(len(self.left)) + f" not known to have ended: {named(map(_told, self.left))}"]
        why = why if self.left else []
        if self.flying:
            why.append(f"launches still in flight: {named(self.flying)}")
        if self.error:
            why.append(str(self.error))
        if not why:
            return None
        advice = "Jobs already cancelled stay cancelled; run the command again"
        message = f"{self.experiment_id}: {'; '.join(why)}. {advice}"
        return QueueError(message, error_type=self.error.error_type if self.error else "StillOpen")


def proposed(data: Path, experiment: str | None, wish: Wish, *, now: datetime) -> Cancelled:
    """Tell which jobs would be cancelled as of the last poll, and why; changes nothing.

    Parameters
    ----------
    data, experiment : data directory; the experiment's id or a unique prefix
    wish : what is to end
    now : the clock [UTC]

    Raises
    ------
    ConfigError
        There is no such experiment or condition.
    """
    store = find(data, experiment)
    return _proposed(store, aim(store, read_manifest(store), wish, now=now))


def cancel(
    data: Path,
    experiment: str | None,
    wish: Wish,
    submitter: Submitter,
    queue: QueueReader,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    patience: Patience | None = None,
) -> Cancelled:
    """Cancel what a fresh look at the queue still shows, and look again until it is gone.

    Parameters
    ----------
    data, experiment, wish : as for ``proposed``
    submitter, queue : what cancels, and where the jobs are read from
    clock, sleep, monotonic : the clock [UTC], how to wait [s], a clock that never steps [s]
    patience : how long to wait

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
    store = find(data, experiment)
    manifest = read_manifest(store)
    if manifest.is_replay:
        return _write_dry(store, manifest, wish, now=clock())
    cancelling = Cancelling(
        store=store,
        wish=wish,
        submitter=submitter,
        queue=queue,
        clock=clock,
        sleep=sleep,
        monotonic=monotonic,
        patience=patience or Patience(),
    )
    cancelling.run()
    return Cancelled(
        experiment_id=store.experiment_id,
        targets=cancelling.now,
        left=cancelling.left,
        flying=cancelling.flying,
        spared=[job_id for job_id in cancelling.aimed.spared if job_id not in cancelling.targets],
        no_action_reason=cancelling.aimed.no_action_reason,
        error=cancelling.error,
    )


def is_to_act(data: Path, experiment: str, *, now: datetime) -> bool:
    """Tell whether the config lets ``watch`` and ``run`` cancel, and the kill-switch proposes something.

    Parameters
    ----------
    data, experiment, now : as for ``proposed``
    """
    store = find(data, experiment)
    manifest = read_manifest(store)
    if manifest.kill_switch != "act":
        return False
    return bool(aim(store, manifest, Wish(by=""), now=now).targets)


def _proposed(store: Store, aimed: Aim) -> Cancelled:
    return Cancelled(
        experiment_id=store.experiment_id,
        targets=aimed.targets,
        spared=aimed.spared,
        no_action_reason=aimed.no_action_reason,
        is_proposal=True,
    )


def _write_dry(store: Store, manifest: Manifest, wish: Wish, *, now: datetime) -> Cancelled:
    """Write down what would be cancelled: the jobs of a replay are in no queue."""
    aimed = aim(store, manifest, wish, now=now)
    if aimed.targets:
        job_ids = sorted(target.job_id for target in aimed.targets)
        fields = {"job_ids": job_ids, "reason": wish.reason, "by": wish.by, "dry_run": True}
        append_event(store, "cancel_requested", at=now, firing_ids=aimed.firing_ids, **fields)
        append_event(store, "cancel", at=now, left_job_ids=[], **fields)
    return Cancelled(
        experiment_id=store.experiment_id,
        targets=aimed.targets,
        no_action_reason=aimed.no_action_reason,
        is_dry=True,
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _told(target: Target) -> str:
    return f"{target.condition_id} (job {target.job_id}, {target.status or 'not seen yet'})"
