"""One cancellation in progress: request it, then poll until the jobs have ended.

A cancel misses a launch in flight, whose job is in no queue yet. So every round lists the launches in flight,
then polls the queue, then cancels the jobs that have appeared; a launch that ends between the two steps is
in the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fmon.cancel.targets import CancelRequest, CancelTargets, Target, find_targets
from fmon.errors import QueueError
from fmon.events import CancelEvent, CancelRequestedEvent
from fmon.job_key import job_id_of
from fmon.manifest.identity import holders
from fmon.manifest.stored import StoredExperiment
from fmon.monitor.poll import poll_one
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fmon.clock import Clock
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import InFlight, Submitter


@dataclass(frozen=True, kw_only=True)
class WaitLimits:
    """How often to poll, and for how long.

    Attributes
    ----------
    poll_s
        Time between two polls [s].
    repeat_s
        Time after which the cancellation of an open job is requested again [s].
    report_s
        Time after which the state is reported although it is the same [s].
    max_wait_s
        Time after which the remaining jobs are left to the next call [s]; SkyPilot needs 15 to 18 s per job.
    """

    poll_s: float = 5.0
    repeat_s: float = 60.0
    report_s: float = 15.0
    max_wait_s: float = 300.0


@dataclass(kw_only=True)
class Canceller:
    """The state and steps of a cancellation; ``requested_at`` has every job whose cancel was requested."""

    stored: StoredExperiment
    request: CancelRequest
    submitter: Submitter
    queue: QueueReader
    clock: Clock
    limits: WaitLimits
    progress: Callable[[str], None] = field(default=lambda _: None)
    """Called with a message after a change and now and then, because a cancellation may take minutes."""

    found: CancelTargets = field(default_factory=CancelTargets)
    targets: dict[int, Target] = field(default_factory=dict)
    requested_at: dict[int, float] = field(default_factory=dict)
    firing_ids: set[int] = field(default_factory=set)
    hidden: set[str] | None = None
    """Launches in flight at the first poll whose task the server does not show: they may be targets."""
    in_flight: list[str] = field(default_factory=list)
    holders: dict[int, int | None] = field(default_factory=dict)
    """The key of the queue's job with each id, so that no other job that reuses an id is cancelled."""
    error: QueueError | None = None
    _told: tuple[int, float] = (-1, 0.0)

    def run(self) -> None:
        """Cancel, and poll until all jobs have ended or the time is up.

        Raises
        ------
        QueueError
            The first poll failed: nothing was cancelled.
        """
        known = set(self._find_targets().jobs)
        give_up_at = self.clock.monotonic() + self.limits.max_wait_s
        self._poll()
        self._fix_selection()
        self._add_targets(self.found.targets)
        try:
            while True:
                self._add_targets(self.found.new_targets(known))
                self._request()
                if self.is_done or self.clock.monotonic() >= give_up_at:
                    break
                self._report()
                self.clock.sleep(self.limits.poll_s)
                try:
                    self._poll()
                except QueueError as error:
                    self.error = error
        finally:  # after Ctrl-C too: SkyPilot carries out what it was asked to do
            self._record()

    @property
    def left(self) -> list[Target]:
        """The jobs that are not known to have ended, with their current status."""
        return [target for target in self.now if not self.found.jobs[target.job_key].has_ended]

    @property
    def now(self) -> list[Target]:
        """All jobs of this cancellation, with their current status."""
        return [
            target._replace(status=self.found.jobs[key].status)
            for key, target in sorted(self.targets.items())
        ]

    @property
    def is_done(self) -> bool:
        """Whether no job is left and no launch is in flight."""
        return not (self.left or self.in_flight or self.error)

    def _report(self) -> None:
        """Report how many jobs have ended, if that changed or nothing was reported for a while."""
        now = self.clock.monotonic()
        ended_count = len(self.targets) - len(self.left)
        if ended_count == self._told[0] and now - self._told[1] < self.limits.report_s:
            return
        self._told = ended_count, now
        waiting = f"; SkyPilot still launches {listed(self.in_flight)}" if self.in_flight else ""
        jobs = counted(len(self.targets), "job")
        self.progress(f"cancelling: {ended_count} of {jobs} ended{waiting}")

    def _poll(self) -> None:
        """List the launches in flight, then poll the queue."""
        launches = self.submitter.in_flight()
        answer = poll_one(self.stored.store, self.queue, clock=self.clock)
        self.stored = StoredExperiment(self.stored.store)
        self.holders = holders(self.stored.store, answer.records)
        self._find_targets()
        self.in_flight = self._targeted(launches)
        self.error = None

    def _fix_selection(self) -> None:
        """Keep the conditions selected now: cancelling changes what ``state=running`` selects."""
        if self.request.selections and self.found.blamed:
            self.request = replace(self.request, selections=tuple(self.found.blamed))

    def _find_targets(self) -> CancelTargets:
        self.found = find_targets(self.stored, self.request, now=self.clock.now())
        self.firing_ids |= set(self.found.firing_ids)
        return self.found

    def _targeted(self, launches: list[InFlight]) -> list[str]:
        """Name the launches in flight whose jobs are, or may be, among those to cancel."""
        if self.hidden is None:
            self.hidden = {each.request_id for each in launches if not each.is_readable}
        names = {
            entry.job_name: entry.condition
            for entry in self.stored.manifest.jobs
            if entry.condition in self.found.blamed
        }
        found = []
        for each in launches:
            if not each.is_readable:
                found += [f"request {each.request_id}"] if each.request_id in self.hidden else []
            elif each.experiment_id == self.stored.experiment_id:
                found += [each.condition_id] if each.condition_id in self.found.blamed else []
            elif each.experiment_id is None and each.job_name in names:
                found.append(names[each.job_name])
        return [name for name in found if name]

    def _add_targets(self, targets: Iterable[Target]) -> None:
        """Add jobs to cancel, and record them in the audit before the request."""
        fresh = {target.job_key: target for target in targets if target.job_key not in self.targets}
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

    def _request(self) -> None:
        """Ask SkyPilot to cancel the jobs that it was not asked to cancel yet, or some time ago."""
        now = self.clock.monotonic()
        due = [
            target.job_key
            for target in self.left
            if now - self.requested_at.get(target.job_key, -self.limits.repeat_s) >= self.limits.repeat_s
            and self.holders.get(target.job_id, target.job_key) == target.job_key
        ]
        if not due:
            return
        try:
            self.submitter.cancel([*map(job_id_of, due)])
        except QueueError as error:
            self.error = error
        else:
            self.requested_at |= dict.fromkeys(due, now)

    def _record(self) -> None:
        """Record which jobs have ended and which are left."""
        if self.targets:
            left = {target.job_key for target in self.left}
            event = CancelEvent(
                at=self.clock.now(),
                job_ids=sorted(self.targets.keys() - left),
                left_job_ids=sorted(left),
                reason=self.request.reason,
                by=self.request.by,
            )
            self.stored.append(event)
