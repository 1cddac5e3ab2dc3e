"""One cancellation under way: asked for, and looked at until the jobs are gone.

A launch in flight escapes a cancel: its job is in no queue yet. So every round lists the launches in flight,
then looks at the queue, then asks for the end of what has appeared; a launch that ends between the two
looks is in the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fmon.cancel.targets import CancelRequest, CancelTargets, Target, find_targets
from fmon.errors import QueueError
from fmon.events import CancelEvent, CancelRequestedEvent
from fmon.manifest.stored import StoredExperiment
from fmon.monitor.ingest import ingest
from fmon.store.durable import lock
from fmon.store.folder import POLL_WAIT_S, poll_lock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.clock import Clock
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import InFlight, Submitter


@dataclass(frozen=True, kw_only=True)
class WaitLimits:
    """How often to look, and for how long.

    Attributes
    ----------
    look_s
        Time between two looks [s].
    repeat_s
        A job that is still open after so long is asked to end once more [s].
    most_s
        After so long what is left is left to the next call [s]; SkyPilot needs 15 to 18 s for a job.
    """

    look_s: float = 5.0
    repeat_s: float = 60.0
    most_s: float = 300.0


@dataclass(kw_only=True)
class Canceller:
    """What a cancellation knows and does; ``asked_at`` has every job that SkyPilot was asked to end."""

    stored: StoredExperiment
    request: CancelRequest
    submitter: Submitter
    queue: QueueReader
    clock: Clock
    limits: WaitLimits

    found: CancelTargets = field(default_factory=CancelTargets)
    targets: dict[int, Target] = field(default_factory=dict)
    asked_at: dict[int, float] = field(default_factory=dict)
    firing_ids: set[int] = field(default_factory=set)
    hidden: set[str] | None = None
    """Launches in flight at the first look whose task the server does not show: they may be meant."""
    flying: list[str] = field(default_factory=list)
    error: QueueError | None = None

    def run(self) -> None:
        """Ask, and look until nothing is left or the patience is over.

        Raises
        ------
        QueueError
            The first look failed: nothing was cancelled.
        """
        known = set(self._find_targets().jobs)
        give_up_at = self.clock.monotonic() + self.limits.most_s
        self._look()
        self._keep_selected()
        self._take(self.found.targets)
        try:
            while True:
                self._take(self.found.newcomers(known))
                self._ask()
                if self.is_done or self.clock.monotonic() >= give_up_at:
                    break
                self.clock.sleep(self.limits.look_s)
                try:
                    self._look()
                except QueueError as error:
                    self.error = error
        finally:  # Ctrl-C too: what SkyPilot was asked for is on its way
            self._record()

    @property
    def left(self) -> list[Target]:
        """Give the jobs that are not known to have ended, as they are now."""
        return [target for target in self.now if not self.found.jobs[target.job_id].has_ended]

    @property
    def now(self) -> list[Target]:
        """Give all jobs of this cancellation with their present status."""
        return [
            target._replace(status=self.found.jobs[job_id].status)
            for job_id, target in sorted(self.targets.items())
        ]

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left, nor on its way."""
        return not (self.left or self.flying or self.error)

    def _look(self) -> None:
        """Look at the launches in flight, then at the queue."""
        flying = self.submitter.in_flight()
        with lock(poll_lock(self.stored.data), wait_s=POLL_WAIT_S):
            try:
                answer: Any = self.queue.read()
            except QueueError as error:
                ingest(self.stored.store, error, source=self.queue.name, now=self.clock.now())
                raise
            ingest(self.stored.store, answer, source=self.queue.name, now=self.clock.now())
        self.stored = StoredExperiment(self.stored.store)
        self._find_targets()
        self.flying = self._meant(flying)
        self.error = None

    def _keep_selected(self) -> None:
        """Go on with the conditions selected now: cancelling changes what ``state=running`` selects."""
        if self.request.selections and self.found.blamed:
            self.request = replace(self.request, selections=tuple(self.found.blamed))

    def _find_targets(self) -> CancelTargets:
        self.found = find_targets(self.stored, self.request, now=self.clock.now())
        self.firing_ids |= set(self.found.firing_ids)
        return self.found

    def _meant(self, flying: list[InFlight]) -> list[str]:
        """Name the launches in flight whose jobs are to be cancelled, or may be."""
        if self.hidden is None:
            self.hidden = {each.request_id for each in flying if not each.is_readable}
        names = {
            entry.job_name: entry.condition
            for entry in self.stored.manifest.jobs
            if entry.condition in self.found.blamed
        }
        found = []
        for each in flying:
            if not each.is_readable:
                found += [f"request {each.request_id}"] if each.request_id in self.hidden else []
            elif each.experiment_id == self.stored.experiment_id:
                found += [each.condition_id] if each.condition_id in self.found.blamed else []
            elif each.experiment_id is None and each.job_name in names:
                found.append(names[each.job_name])
        return [name for name in found if name]

    def _take(self, targets: Iterable[Target]) -> None:
        """Add to what is to end, and say so in the audit before it is asked for."""
        fresh = {target.job_id: target for target in targets if target.job_id not in self.targets}
        if fresh:
            self.targets |= fresh
            event = CancelRequestedEvent(
                at=self.clock.now(),
                job_ids=sorted(fresh),
                reason=self.request.reason,
                firing_ids=sorted(self.firing_ids),
                by=self.request.by,
            )
            self.stored.append(event)

    def _ask(self) -> None:
        """Ask SkyPilot to end what it was not asked for yet, or a while ago."""
        now = self.clock.monotonic()
        due = [
            target.job_id
            for target in self.left
            if now - self.asked_at.get(target.job_id, -self.limits.repeat_s) >= self.limits.repeat_s
        ]
        if not due:
            return
        try:
            self.submitter.cancel(due)
        except QueueError as error:
            self.error = error
        else:
            self.asked_at |= dict.fromkeys(due, now)

    def _record(self) -> None:
        """Write down what is gone and what is left."""
        if self.targets:
            left = {target.job_id for target in self.left}
            event = CancelEvent(
                at=self.clock.now(),
                job_ids=sorted(self.targets.keys() - left),
                left_job_ids=sorted(left),
                reason=self.request.reason,
                by=self.request.by,
            )
            self.stored.append(event)
