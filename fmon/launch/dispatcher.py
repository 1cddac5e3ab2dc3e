"""One dispatch in progress: attempts that have a job, that may have one, and that are still to launch."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from fmon.errors import QueueError
from fmon.job_key import job_id_of
from fmon.launch.backoff import Backoff, refusal, refusal_of
from fmon.launch.intent_log import LaunchHistory, LaunchKey, history_of, key_of, write_intent, write_result
from fmon.launch.outcome import DispatchOutcome
from fmon.manifest.build import assign_job, jobs_of
from fmon.manifest.claims import Job
from fmon.manifest.identity import new_key, stored_jobs
from fmon.model import EPOCH
from fmon.monitor.ingest import attach_jobs
from fmon.sky.submit.submitter import Submission
from fmon.store.durable import lock
from fmon.store.folder import POLL_WAIT_S, poll_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmon.clock import Clock
    from fmon.launch.limits import DispatchLimits
    from fmon.manifest.identity import StoredJob
    from fmon.manifest.stored import StoredExperiment
    from fmon.model import Entry, Manifest, Record
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import InFlight, Outcome, Submitter
    from fmon.store.folder import Store

SAVE_S = 5.0
"""Time between two writes of the manifest during launches [s]; the audit records each launch at once."""


@dataclass(kw_only=True)
class Dispatcher:
    """The state and steps of a dispatch.

    An attempt is in one place: ``to_launch``, ``running`` (submitted), ``absent`` (uncertain, with the
    time since which neither list has had it; None = it was in flight at the last poll, or there was no
    poll yet), ``refused`` (not accepted, to be launched again once a poll has not found its job),
    ``job_ids``, ``queued`` (left to a later run) or ``failed``.
    """

    stored: StoredExperiment
    attempts: list[LaunchKey]
    submitter: Submitter
    queue: QueueReader
    task_yaml: Callable[[Entry, int], str]
    clock: Clock
    limits: DispatchLimits
    progress: Callable[[int, int], None]

    entries: dict[str, Entry] = field(default_factory=dict)
    history: dict[LaunchKey, LaunchHistory] = field(default_factory=dict)
    to_launch: deque[LaunchKey] = field(default_factory=deque)
    running: dict[str, LaunchKey] = field(default_factory=dict)
    absent: dict[LaunchKey, float | None] = field(default_factory=dict)
    job_ids: dict[LaunchKey, int] = field(default_factory=dict)
    found_keys: dict[LaunchKey, int] = field(default_factory=dict)
    """Keys of the jobs among them that a poll has found."""
    refused: dict[LaunchKey, str] = field(default_factory=dict)
    queued: dict[LaunchKey, str] = field(default_factory=dict)
    failed: dict[LaunchKey, str] = field(default_factory=dict)
    launched: set[LaunchKey] = field(default_factory=set)
    unsaved: set[LaunchKey] = field(default_factory=set)
    tries: Counter[LaunchKey] = field(default_factory=Counter)
    sent_at: dict[LaunchKey, float] = field(default_factory=dict)
    backoff: Backoff = field(init=False)
    is_unchecked: bool = False
    """A launch has failed since the last poll, but may have created its job."""
    stopped: str | None = None
    """Why nothing more is launched in this run; None = the run continues."""
    hidden: set[str] = field(default_factory=set)
    """Requests seen in the grace period whose task the server does not show: they may be ours."""
    error: QueueError | None = None
    changed_at: float = 0.0
    saved_at: float = 0.0
    next_at: float = 0.0

    def __post_init__(self) -> None:
        """Start without a refusal."""
        self.backoff = Backoff(self.limits)

    @property
    def store(self) -> Store:
        """The folder of the experiment."""
        return self.stored.store

    def run(self) -> DispatchOutcome:
        """Poll, launch, and poll again until nothing is uncertain or nothing changes any more."""
        self._read_audit()
        self._poll()
        self.changed_at = self.saved_at = self.next_at = self.clock.monotonic()
        try:
            self._launch_and_poll()
        except KeyboardInterrupt:
            self._save()
            raise
        return self._dispatched()

    def _launch_and_poll(self) -> None:
        self._launch_all()
        while not self.error and (self.absent or self.refused or self.is_unchecked):
            if self.refused and not self.absent:
                self.clock.sleep(max(0.0, self.next_at - self.clock.monotonic()))
            if not self._poll_or_back_off():
                continue
            self._retry_refused()
            self._launch_all()
            if self.absent:
                if self.clock.monotonic() - self.changed_at > self.limits.patience_s:
                    return
                self.clock.sleep(self.limits.poll_s)

    def _poll_or_back_off(self) -> bool:
        """Poll; if the server is overloaded, wait for the next poll; otherwise end the run."""
        at = self.clock.monotonic()
        try:
            self._poll()
        except QueueError as error:
            pause_s = self.backoff.refused(sent_at=at, at=self.clock.monotonic())
            if refusal(error.error_type, str(error)) == "overload" and not self.backoff.is_used_up:
                self.clock.sleep(pause_s)
            else:
                self.error = error
            return False
        return True

    def _read_audit(self) -> None:
        """Sort the attempts by what the audit has about them."""
        self.history = history_of(self.stored.events)
        for attempt in self.attempts:
            history = self.history.setdefault(attempt, LaunchHistory())
            if history.job_id is not None:
                self.job_ids[attempt] = history.job_id
                self.unsaved.add(attempt)
            elif history.is_uncertain:
                self.absent[attempt] = None
            else:
                self.to_launch.append(attempt)
        # What was refused most often comes last, so that every attempt is tried.
        self.to_launch = deque(sorted(self.to_launch, key=lambda each: self.history[each].count))

    # Polling: launches in flight first. A launch that ends between the two requests is then in the queue; in
    # the other order it would be in neither.

    def _poll(self) -> None:
        """Find out which attempts have a job, which are in flight, and which are neither."""
        at = self.clock.monotonic()
        in_flight = self.submitter.in_flight()
        with lock(poll_lock(self.stored.data), wait_s=POLL_WAIT_S):
            answer = self.queue.read()
            manifest, _ = attach_jobs(self.stored, answer, source=self.queue.name)
        self.entries = {entry.condition: entry for entry in manifest.jobs}
        self.is_unchecked = False
        for attempt in self._without_job():
            entry = self.entries[attempt.condition_id]
            if entry.job_key is not None and entry.relaunch_batch >= attempt.cycle:
                self._settle(attempt, entry.job_key)
        self._find_untagged(manifest, answer.records)
        self._compare(in_flight, at)

    def _without_job(self) -> list[LaunchKey]:
        """List the attempts whose job a poll may find."""
        return [*self.absent, *self.to_launch, *self.refused, *self.queued, *self.failed]

    def _find_untagged(self, manifest: Manifest, records: list[Record]) -> None:
        """Find relaunches whose metadata the server dropped: the name matches and the job is newer."""
        sent = [
            (attempt, self.entries[attempt.condition_id])
            for attempt in self._without_job()
            if self.history[attempt].count and attempt.cycle > 0
        ]
        untagged = _untagged_jobs(manifest, records, {entry.job_name for _, entry in sent})
        if not untagged:
            return
        earlier = {job.key: job for jobs in stored_jobs(self.store).values() for job in jobs}
        for attempt, entry in sent:
            if entry.job_key is None:
                continue  # the first job of a name is attached by ``attach_jobs``
            newer = [
                job
                for job in untagged
                if job.name == entry.job_name and _is_later(job, entry.job_key, earlier)
            ]
            if newer:
                self._settle(attempt, min(newer, key=Job.order).job_key)
                self.unsaved.add(attempt)

    def _compare(self, in_flight: list[InFlight], at: float) -> None:
        """Compare the attempts without a job with the launches in flight."""
        tagged = {(each.experiment_id, each.condition_id, each.cycle) for each in in_flight}
        names = {each.job_name for each in in_flight if each.experiment_id is None and each.is_readable}
        hidden = {each.request_id for each in in_flight if not each.is_readable}

        def is_in_flight(attempt: LaunchKey) -> bool:
            key = (self.store.experiment_id, attempt.condition_id, attempt.cycle)
            return key in tagged or self.entries[attempt.condition_id].job_name in names

        for attempt in [each for each in self.to_launch if is_in_flight(each)]:
            self.to_launch.remove(attempt)  # in flight, but not in the audit: its event was lost
            self.absent[attempt] = None
        for attempt in [each for each in self.refused if is_in_flight(each)]:
            del self.refused[attempt]
            self.absent[attempt] = None
        for attempt, since in list(self.absent.items()):
            if is_in_flight(attempt):
                self.absent[attempt] = None
            elif since is None:
                self.absent[attempt] = at
                self.hidden |= hidden
            elif at - since < self.limits.grace_s:
                self.hidden |= hidden
            elif not hidden & self.hidden and self.tries[attempt] <= self.limits.retries:
                del self.absent[attempt]
                self.to_launch.append(attempt)
                self.changed_at = at

    def _settle(self, attempt: LaunchKey, key: int) -> None:
        """Record that an attempt has its job."""
        self.job_ids[attempt], self.found_keys[attempt] = job_id_of(key), key
        self.changed_at = self.clock.monotonic()
        self.absent.pop(attempt, None)
        for without in (self.refused, self.queued, self.failed):
            without.pop(attempt, None)
        if attempt in self.to_launch:
            self.to_launch.remove(attempt)

    # Launching

    def _launch_all(self) -> None:
        """Submit the attempts to launch, and collect all outcomes."""
        self._report_progress()
        while self.running or (self.to_launch and self._goes_on):
            while self._may_launch():
                self._launch(self.to_launch.popleft())
            self._take_outcome()
            if self.clock.monotonic() - self.saved_at > SAVE_S:
                self._save()
        if self.stopped:
            self._leave_queued(self.stopped)
        self._save()

    def _retry_refused(self) -> None:
        """Retry what was refused, once the pause is over: the poll has not found its job."""
        if self.clock.monotonic() >= self.next_at:
            self.to_launch.extend(self.refused)
            self.refused.clear()

    def _leave_queued(self, why: str) -> None:
        """Leave everything that is not launched to a later run."""
        self.queued |= dict.fromkeys(self.to_launch, why) | self.refused
        self.to_launch.clear()
        self.refused.clear()

    def _may_launch(self) -> bool:
        has_room = len(self.running) < self.limits.parallel and self.clock.monotonic() >= self.next_at
        return bool(self.to_launch) and has_room and self._goes_on

    @property
    def _goes_on(self) -> bool:
        return self.error is None and self.stopped is None

    def _launch(self, attempt: LaunchKey) -> None:
        """Write the intent, then submit the launch."""
        entry = self.entries[attempt.condition_id]
        if self.store.is_closed:
            self.store.reopen()
        key = key_of(attempt, self.history[attempt].count)
        task_yaml = self.task_yaml(entry, attempt.cycle)
        write_intent(self.store, attempt, key=key, job_name=entry.job_name, at=self.clock.now())
        self.history[attempt].count += 1
        self.tries[attempt] += 1
        self.running[key] = attempt
        self.changed_at = self.sent_at[attempt] = self.clock.monotonic()
        self.next_at = self.changed_at + 60.0 / self.limits.per_minute
        self.submitter.submit(Submission(attempt_key=key, job_name=entry.job_name, task_yaml=task_yaml))

    def _take_outcome(self) -> None:
        """Wait for an outcome, or for the time of the next launch."""
        is_free = self.to_launch and self._goes_on and len(self.running) < self.limits.parallel
        timeout_s = max(0.01, self.next_at - self.clock.monotonic()) if is_free else SAVE_S
        outcome = self.submitter.outcome(timeout_s=timeout_s)
        attempt = self.running.pop(outcome.attempt_key, None) if outcome else None
        if outcome is None or attempt is None:
            if self.running and self.clock.monotonic() - self.changed_at > self.limits.patience_s:
                self.submitter.close()  # so that nothing more is sent; outcomes still missing are uncertain
            return
        write_result(self.store, attempt, outcome, at=self.clock.now())
        self.changed_at = self.clock.monotonic()
        if outcome.job_id is not None:
            self.job_ids[attempt] = outcome.job_id
            self.launched.add(attempt)
            self.unsaved.add(attempt)
            self.backoff.accepted()
        else:
            self._note_failure(attempt, outcome)
        self._report_progress()

    def _note_failure(self, attempt: LaunchKey, outcome: Outcome) -> None:
        why, kind = f"{outcome.error_type}: {outcome.error}", refusal_of(outcome)
        if kind == "overload":
            self._back_off(attempt, why)
        if outcome.is_uncertain:
            self.absent[attempt] = None
            self.history[attempt].why = why
            return
        self.is_unchecked = True
        if kind == "away":
            self.to_launch.append(attempt)
            self.error = self.error or QueueError(why, error_type=outcome.error_type or "")
        elif kind == "capacity":
            self.stopped = self.stopped or why
            self.queued[attempt] = why
        elif kind == "final":
            self.failed[attempt] = why
        elif self.tries[attempt] <= self.limits.retries:
            self.refused[attempt] = why
        else:
            self.queued[attempt] = why

    def _back_off(self, attempt: LaunchKey, why: str) -> None:
        """Send nothing for a while, and nothing more in this run if the server has refused too often."""
        now = self.clock.monotonic()
        pause_s = self.backoff.refused(sent_at=self.sent_at[attempt], at=now)
        self.next_at = max(self.next_at, now + pause_s)
        if self.backoff.is_used_up:
            self.stopped = self.stopped or why

    def _save(self) -> None:
        """Write the new jobs into the manifest."""
        self.saved_at = self.clock.monotonic()
        if not self.unsaved:
            return
        file = self.stored.manifest_file
        with lock(poll_lock(self.stored.data), wait_s=POLL_WAIT_S), file.changing() as manifest:
            entries = {entry.condition: entry for entry in manifest.jobs}
            for attempt in self.unsaved:
                entry = entries[attempt.condition_id]
                key = self.found_keys.get(attempt)
                if key is None:
                    key = new_key(self.stored.store, manifest, self.job_ids[attempt], name=entry.job_name)
                assign_job(manifest, entry, job_key=key, cycle=attempt.cycle)
            file.write(manifest)
        self.unsaved.clear()

    def _report_progress(self) -> None:
        settled = len(self.job_ids) + len(self.queued) + len(self.failed)
        self.progress(settled, len(self.attempts))

    def _dispatched(self) -> DispatchOutcome:
        return DispatchOutcome(
            launched={
                each.condition_id: self.job_ids[each] for each in self.attempts if each in self.launched
            },
            found={
                each.condition_id: self.job_ids[each]
                for each in self.attempts
                if each in self.job_ids and each not in self.launched
            },
            queued={each.condition_id: why for each, why in (self.queued | self.refused).items()},
            failed={each.condition_id: why for each, why in self.failed.items()},
            uncertain={each.condition_id: self.history[each].why for each in self.absent},
            left=[each.condition_id for each in self.to_launch],
            error=self.error,
        )


def _untagged_jobs(manifest: Manifest, records: list[Record], names: set[str]) -> list[Job]:
    """Return jobs with certain names that have no metadata and are not in the manifest."""
    own = {key for key, _ in jobs_of(manifest)}
    tasks: dict[int, list[Record]] = {}
    for record in records:
        is_untagged = record.fmon_experiment is None and record.job_key not in own
        if record.job_name in names and is_untagged and _may_be_ours(manifest, record):
            tasks.setdefault(record.job_key, []).append(record)
    return [Job(key, of_job) for key, of_job in tasks.items()]


def _may_be_ours(manifest: Manifest, record: Record) -> bool:
    return manifest.user_hash is None or record.user_hash in (None, manifest.user_hash)


def _is_later(job: Job, key: int, stored: Mapping[int, StoredJob]) -> bool:
    """Return whether a job was submitted after an attempt; a larger id need not be a later one."""
    attempt = stored.get(key)
    micros = attempt and (attempt.submitted_at or attempt.end_at)
    if micros is None:
        return job.job_key > key
    return job.submitted_at is None or job.submitted_at > EPOCH + timedelta(microseconds=micros)
