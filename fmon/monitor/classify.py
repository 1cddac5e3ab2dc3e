"""Find out why each attempt failed: fetch, store and classify its log.

Reads the state, the stored logs and, with a ``LogReader``, SkyPilot. Writes ``logs/``, ``findings.parquet``
and, if the findings fire the kill switch, an event into the audit log. Each step can be repeated: a process
that is killed leaves the marker of ``store.unexamined``, and the next one resumes with the stored logs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from fmon.job_key import job_id_of
from fmon.model import EPOCH
from fmon.monitor.failed_tasks import failed_tasks, is_about
from fmon.monitor.fetch_logs import Budget, Fetching, NoLogError, budget_of
from fmon.monitor.kill_switch import firing_sentence, record_firings
from fmon.sky.logs import RecordedLogs
from fmon.sky.reader import LogMissingError
from fmon.sky.status import unstarted_statuses
from fmon.store import unexamined
from fmon.store.durable import LockTaken, lock
from fmon.store.findings import Finding, Key, read_findings, write_findings
from fmon.store.job_logs import remove_torn, set_aside
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fmon.causes import FailureInfo
    from fmon.errors import QueueError
    from fmon.events import KillSwitchEvent
    from fmon.model import Manifest, Pattern
    from fmon.monitor.failed_tasks import FailedTask
    from fmon.sky.reader import LogReader
    from fmon.store.folder import Store

__all__ = ["Budget", "Examined", "budget_of", "examine"]

MOST_ASKS = 12
LONGEST_WAIT = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
BATCH = 10
"""Number of attempts whose logs are requested at once: first their own, then their controllers' if needed."""

WRITING_SHARE = 0.1
"""Largest share of the time to spend on writing findings: all of them are written each time."""

NOT_ASKED = "not requested yet"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The result of one examination.

    Attributes
    ----------
    categories
        Number of attempts examined this time, by category.
    missing
        Why the log of a job is not available, for logs requested this time.
    missing_controllers
        Why the log of a job's controller is not available, where only that one is missing.
    given_up
        Those of these jobs whose logs will not be requested again.
    left_count
        Number of failed attempts that still wait for their log.
    firings
        Events of the kill switch that these findings caused.
    is_skipped
        Whether another process examines the same experiment.
    """

    experiment_id: str
    categories: dict[str, int] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    missing_controllers: dict[int, str] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)
    left_count: int = 0
    firings: list[KillSwitchEvent] = field(default_factory=list)
    is_skipped: bool = False

    def sentence(self) -> str | None:
        """Return a summary for stderr; None if there was nothing to do."""
        sentences = []
        if self.categories:
            each = (f"{count} {category}" for category, count in self.categories.items())
            sentences.append(f"{_failures(sum(self.categories.values()))} examined: {listed(each)}")
        if self.missing or self.missing_controllers:
            missing = [(f"job {job_id}", job_id, why) for job_id, why in self.missing.items()]
            missing += [
                (f"the controller of job {job_id}", job_id, why)
                for job_id, why in self.missing_controllers.items()
            ]
            each = (
                f"{name} ({why}{'; given up' if job_id in self.given_up else ''})"
                for name, job_id, why in missing
            )
            sentences.append(f"no log of {listed(each)}")
        if self.left_count:
            sentences.append(f"{_failures(self.left_count)} without a log yet")
        for event in self.firings:
            reason = firing_sentence(
                event, proposed=[*map(job_id_of, event.candidate_job_ids)], experiment_id=self.experiment_id
            )
            sentences.append(f"the kill switch fired: {reason}")
        return "; ".join(sentences) or None


def examine(
    store: Store,
    manifest: Manifest,
    reader: LogReader | None,
    *,
    now: datetime,
    polled_at: datetime | None = None,
    budget: Budget | None = None,
    wait_s: float = 0,
) -> Examined:
    """Update the findings of an experiment, and check the kill switch, within the budget.

    Examines failed attempts without a finding, those with a finding of older rules or patterns (from the
    stored log), and those whose log was not available and is due to be requested again.

    Parameters
    ----------
    store, manifest
        The experiment.
    reader
        The reader of logs; None = use only stored logs. For a replay only its recording is read: the live
        queue has other jobs with the same ids.
    now
        The current time [UTC].
    polled_at
        Time of the poll that showed the failures [UTC], used as the time of a firing; None = ``now``.
    budget
        Limits for requesting logs; None = those of one poll.
    wait_s
        Longest wait for another process that examines the same experiment [s].

    Raises
    ------
    StoreError
        A file can't be written: earlier findings are intact, and the next examination resumes.
    """
    if manifest.is_replay and not isinstance(reader, RecordedLogs):
        reader = None
    try:
        with lock(store.path / ".examine.lock", wait_s=wait_s):
            found = _Examination(store, manifest, reader, now, budget or budget_of(reader))
            return found.run(polled_at or now)
    except LockTaken:
        return Examined(experiment_id=store.experiment_id, is_skipped=True)


class _Examination:
    """One examination of an experiment, under its lock."""

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        reader: LogReader | None,
        now: datetime,
        budget: Budget,
    ) -> None:
        self._store, self._manifest, self._now = store, manifest, now
        self._can_ask = reader is not None
        self._is_recorded = isinstance(reader, RecordedLogs)
        self._version = _version(manifest.patterns)
        self._before: dict[Key, Finding] = {}
        self._findings: dict[Key, Finding] = {}
        self._judged: dict[Key, None] = {}  # in order
        self._fetching = Fetching(store, reader, budget)
        self._is_written, self._next_write_at = True, 0.0

    def run(self, polled_at: datetime) -> Examined:
        """Examine the attempts that are due, and update the marker."""
        remove_torn(self._store)
        token = unexamined.pending_token(self._store)  # before the state: a later marker has another token
        self._before = read_findings(self._store)
        failed = failed_tasks(self._store, self._before)
        self._set_aside(failed)
        self._findings = dict(self._before)
        due = sorted((attempt for attempt in failed if self._is_due(attempt)), key=self._order)
        for start in range(0, len(due), BATCH):
            self._examine(due[start : start + BATCH])
        self._write()
        # Before the marker is updated: if the process is killed in between, the next one does it.
        firings = record_firings(self._store, self._manifest, now=polled_at)
        left_count = sum(self._is_due(attempt) for attempt in due)
        has_new = any(map(self._is_new, due))
        waiting = [wait for finding in self._findings.values() if (wait := self._next_ask(finding))]
        unexamined.clear_pending(self._store, token, has_new=has_new, not_before=min(waiting, default=None))
        faults = self._fetching.faults.items()
        missing = {request.job_id: str(fault) for request, fault in faults if not request.is_controller}
        controllers = {
            request.job_id: str(fault)
            for request, fault in faults
            if request.is_controller and request.job_id not in missing
        }
        for key in self._judged:  # a stored log may have no part for one of the tasks
            error, job_id = self._findings[key]["log_error"], job_id_of(key[0])
            if error is not None and key[0] in self._fetching.asked and job_id not in controllers:
                missing.setdefault(job_id, error)
        given_up = {job_id_of(key[0]) for key, finding in self._findings.items() if finding["is_given_up"]}
        return Examined(
            experiment_id=self._store.experiment_id,
            categories=dict(Counter(self._findings[key]["category"] for key in self._judged).most_common()),
            missing=missing,
            missing_controllers=controllers,
            given_up=sorted(given_up & (missing.keys() | controllers.keys())),
            left_count=left_count,
            firings=firings,
        )

    def _set_aside(self, failed: list[FailedTask]) -> None:
        """Drop the findings and the logs of tasks that have run again since."""
        for attempt in failed:
            key = attempt.job_key, attempt.task_id
            if key in self._before and not is_about(self._before[key], attempt):
                set_aside(self._store, [request.file_name for request in attempt.logs])
                del self._before[key]
                self._is_written = False

    def _is_new(self, attempt: FailedTask) -> bool:
        finding = self._findings.get((attempt.job_key, attempt.task_id))
        return finding is None or finding["rules_version"] != self._version

    def _is_due(self, attempt: FailedTask) -> bool:
        if self._is_new(attempt):
            return True
        return self._can_ask and self._is_overdue(self._findings[attempt.job_key, attempt.task_id])

    def _order(self, attempt: FailedTask) -> tuple[int, int]:
        """Return a key that sorts attempts by how often, then how long ago their logs were requested."""
        finding = self._before.get((attempt.job_key, attempt.task_id))
        return (-1, 0) if finding is None else (finding["ask_count"], finding["examined_at"])

    def _is_askable(self, attempt: FailedTask) -> bool:
        """Return whether a log may be requested now; with new rules, attempts are due that must wait."""
        if self._is_gone(attempt):
            return False
        finding = self._before.get((attempt.job_key, attempt.task_id))
        return finding is None or finding["log_error"] is None or self._is_overdue(finding)

    def _is_gone(self, attempt: FailedTask) -> bool:
        """Return whether the queue does not list the job: SkyPilot may have reused its id."""
        return not (attempt.is_seen or self._is_recorded)

    def _is_overdue(self, finding: Finding) -> bool:
        next_ask = self._next_ask(finding)
        return next_ask is not None and self._now >= next_ask

    def _next_ask(self, finding: Finding) -> datetime | None:
        """Return when to request a missing log again; None = never."""
        if finding["log_error"] is None or finding["is_given_up"]:
            return None
        wait = min(timedelta(minutes=2 ** max(finding["ask_count"] - 1, 0)), LONGEST_WAIT)
        last: datetime = EPOCH + finding["examined_at"] * MICROSECOND
        return last + wait if last <= self._now else self._now  # the clock may go backwards

    def _examine(self, attempts: list[FailedTask]) -> None:
        """Fetch the missing logs and classify the attempts.

        Failed requests are written to disk soon, so that after a kill the next poll requests other logs.
        """
        of_job: defaultdict[int, list[FailedTask]] = defaultdict(list)
        for attempt in attempts:
            of_job[attempt.job_key].append(attempt)
        askable = [attempt for attempt in attempts if self._is_askable(attempt)]
        answered: list[FailedTask] = []
        for _ in range(2):  # only after the first pass it is known which jobs printed nothing
            for key in self._fetching.fetch(askable):
                answered += of_job[key]
                if monotonic() >= self._next_write_at:
                    self._classify(answered)
                    self._write()
                    answered = []
        self._classify(attempts)
        if monotonic() >= self._next_write_at:
            self._write()

    def _classify(self, attempts: list[FailedTask]) -> None:
        """Classify the attempts that do not wait for a log."""
        for attempt in attempts:
            if not (self._is_askable(attempt) and self._fetching.is_waiting(attempt)):
                key = attempt.job_key, attempt.task_id
                self._findings[key] = self._judge(attempt)
                self._judged[key] = None
                self._is_written = False

    def _write(self) -> None:
        """Write the findings, and set the earliest time of the next write."""
        if self._is_written:
            return
        started = monotonic()
        write_findings(self._store, self._findings.values())
        self._is_written = True
        self._next_write_at = monotonic() + (monotonic() - started) / WRITING_SHARE

    def _judge(self, attempt: FailedTask) -> Finding:
        """Return the finding of an attempt, from its stored logs."""
        from fmon.causes import analyze_logs  # loads re2

        own, controllers = (self._fetching.part(attempt, request) for request in attempt.logs)
        info = analyze_logs(
            own.text if own else "",
            attempt.status,
            failure_reason=attempt.failure_reason,
            controller_log=controllers.text if controllers else None,
            patterns=self._manifest.patterns,
        )
        return {
            "experiment_id": self._store.experiment_id,
            "job_id": job_id_of(attempt.job_key),
            "job_key": attempt.job_key,
            "task_id": attempt.task_id,
            "rules_version": self._version,
            "examined_at": (self._now - EPOCH) // MICROSECOND,
            "end_at": attempt.end_at,
            **self._logs_of(attempt),
            **_columns(info),
        }

    def _logs_of(self, attempt: FailedTask) -> Finding:
        """Return the columns about the logs: whether and why they are missing, and the number of requests."""
        before = self._before.get((attempt.job_key, attempt.task_id), {})
        ask_count = before.get("ask_count", 0) + (attempt.job_key in self._fetching.asked)
        missing = self._fetching.missing(attempt)
        faults = [fault for request in missing if (fault := self._fetching.fault(attempt, request))]
        error, is_given_up = None, False
        if faults:
            error = "; ".join(dict.fromkeys(map(str, faults)))
            is_final = len(faults) == len(missing) and all(self._is_final(attempt, fault) for fault in faults)
            is_given_up = is_final or (ask_count >= MOST_ASKS and not attempt.has_open_tasks)
        elif missing:  # nothing was requested: the earlier error still applies
            error = before.get("log_error") or NOT_ASKED
            is_given_up = before.get("is_given_up", False) or self._is_gone(attempt)
        has_any = any(self._fetching.text(request) is not None for request in attempt.logs)
        return {
            "log_state": "stored" if has_any else "missing",
            "log_error": error,
            "ask_count": ask_count,
            "is_given_up": is_given_up,
        }

    def _is_final(self, attempt: FailedTask, fault: QueueError) -> bool:
        """Return whether there will never be a log.

        A text that SkyPilot prints instead of a log may be replaced by the log later, but not in a recording,
        and not if the status says that no program was started and the controller's log is stored.
        """
        if isinstance(fault, NoLogError):
            is_unstarted = attempt.status in unstarted_statuses()
            return self._is_recorded or (is_unstarted and self._fetching.has_controllers(attempt))
        return isinstance(fault, LogMissingError)


def _failures(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures"


def _version(patterns: Sequence[Pattern]) -> str:
    """Return the version of the rules, with a hash of the user's patterns if there are any."""
    from fmon.causes import RULES_VERSION

    if not patterns:
        return str(RULES_VERSION)
    return f"{RULES_VERSION}+{sha256(msgspec.json.encode(list(patterns))).hexdigest()[:8]}"


def _columns(info: FailureInfo) -> Finding:
    """Return a classification as columns of ``schema.FINDING``."""
    return {
        "category": info.category,
        "subcategory": info.subcategory,
        "root_cause_id": info.root_cause_id,
        "signature": info.signature,
        "root_cause": info.root_cause,
        "exception_class": info.exception_class,
        "message": info.message,
        "source": info.source,
        "evidence": info.evidence,
        "rule": info.rule,
        "runner_up": info.runner_up,
        "remedy": info.remedy,
        "affected_files": list(info.files),
        "is_auto_fixable": info.auto_fixable,
        "evidence_line": info.evidence_line,
        "exit_code": info.exit_code,
        "confidence": info.confidence,
    }
