"""Why each failed attempt failed: its log fetched, stored, and classified.

Reads the state, the stored logs and, through a ``LogReader``, SkyPilot. Writes ``logs/``,
``findings.parquet`` and, where the findings fire the kill switch, that into the audit. Each step can be
done again: whoever is killed leaves the mark of ``store.unexamined``, and the next one resumes with
what is stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from fmon.model import EPOCH
from fmon.monitor.fetch_logs import Budget, FailedTask, Fetching, budget_of
from fmon.monitor.kill_switch import firing_sentence, record_firings
from fmon.sky.logs import RecordedLogs
from fmon.sky.reader import LogMissingError
from fmon.sky.status import failed_statuses
from fmon.store import unexamined
from fmon.store.durable import LockTaken, lock
from fmon.store.findings import Finding, Key, read_findings, write_findings
from fmon.store.job_logs import remove_torn
from fmon.store.state import read_columns
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from fmon.causes import FailureInfo
    from fmon.events import KillSwitchEvent
    from fmon.model import Manifest, Pattern
    from fmon.sky.reader import LogReader
    from fmon.store.folder import Store

__all__ = ["Budget", "Examined", "budget_of", "examine"]

MOST_ASKS = 12
LONGEST_WAIT = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
BATCH = 50
"""Attempts whose logs are asked for in one go."""

WRITING_SHARE = 0.1
"""What writing the findings may take of the time of an examination: all are written each time."""

NOT_ASKED = "not asked for yet"


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What one examination did.

    Attributes
    ----------
    categories
        How many attempts were found to have each root cause, those of this time.
    missing
        Why the log of a job can't be had, those asked for this time.
    given_up
        Jobs among them that will not be asked for again.
    left_count
        Failed attempts that still wait for their log.
    firings
        Of the kill switch, that these findings brought; as events.
    is_skipped
        Another process examines the same experiment.
    """

    experiment_id: str
    categories: dict[str, int] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)
    left_count: int = 0
    firings: list[KillSwitchEvent] = field(default_factory=list)
    is_skipped: bool = False

    def sentence(self) -> str | None:
        """Say what was found, for stderr; None where there was nothing to do."""
        said = []
        if self.categories:
            each = (f"{count} {category}" for category, count in self.categories.items())
            said.append(f"{_failures(sum(self.categories.values()))} examined: {listed(each)}")
        if self.missing:
            each = (
                f"job {job_id} ({why}{'; given up' if job_id in self.given_up else ''})"
                for job_id, why in self.missing.items()
            )
            said.append(f"no log of {listed(each)}")
        if self.left_count:
            said.append(f"{_failures(self.left_count)} without its log yet")
        for event in self.firings:
            told = firing_sentence(event, proposed=event.candidate_job_ids, experiment_id=self.experiment_id)
            said.append(f"the kill switch fired: {told}")
        return "; ".join(said) or None


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
    """Bring the findings of an experiment, and the kill switch by them, up to date as far as the budget goes.

    Examined are failed attempts without a finding, with one of older rules or patterns (from the stored
    log), and with a log that could not be had when it is time to ask again.

    Parameters
    ----------
    store, manifest
        The experiment.
    reader
        Where logs are read from; None = only what is stored. Of a replay only its recording is asked: the
        live queue has other jobs under the same ids.
    now
        The clock [UTC].
    polled_at
        When the queue showed what is examined [UTC], the time of a firing; None = ``now``.
    budget
        None = that of one poll.
    wait_s
        How long to wait for another process that examines the same experiment [s].

    Raises
    ------
    StoreError
        Something can't be written: what was found before is intact, the next examination resumes.
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
    """One run over one experiment, under its lock."""

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
        self._version = _version(manifest.patterns)
        self._before: dict[Key, Finding] = {}
        self._findings: dict[Key, Finding] = {}
        self._judged: dict[Key, None] = {}  # in the order in which they were
        self._fetching = Fetching(store, reader, budget)
        self._is_written, self._write_from = True, 0.0

    def run(self, polled_at: datetime) -> Examined:
        """Examine what is due, and settle the mark."""
        remove_torn(self._store)
        token = unexamined.pending_token(self._store)  # before the state: who marks later has a newer one
        failed = list(_failed(self._store))
        self._before = read_findings(self._store)
        self._findings = dict(self._before)
        due = sorted((attempt for attempt in failed if self._is_due(attempt)), key=self._turn)
        for start in range(0, len(due), BATCH):
            self._examine(due[start : start + BATCH])
        self._write()
        # Before the mark is settled: who dies in between leaves it to the next one.
        firings = record_firings(self._store, self._manifest, now=polled_at)
        left_count = sum(self._is_due(attempt) for attempt in due)
        has_new = any(map(self._is_new, due))
        waiting = [wait for finding in self._findings.values() if (wait := self._next_ask(finding))]
        unexamined.clear_pending(self._store, token, has_new=has_new, not_before=min(waiting, default=None))
        missing = {ask.job_id: str(fault) for ask, fault in self._fetching.faults.items()}
        given_up = {key[0] for key, finding in self._findings.items() if finding["is_given_up"]}
        return Examined(
            experiment_id=self._store.experiment_id,
            categories=dict(Counter(self._findings[key]["category"] for key in self._judged).most_common()),
            missing=missing,
            given_up=sorted(given_up & missing.keys()),
            left_count=left_count,
            firings=firings,
        )

    def _is_new(self, attempt: FailedTask) -> bool:
        finding = self._findings.get((attempt.job_id, attempt.task_id))
        return finding is None or finding["rules_version"] != self._version

    def _is_due(self, attempt: FailedTask) -> bool:
        if self._is_new(attempt):
            return True
        return self._can_ask and self._is_overdue(self._findings[attempt.job_id, attempt.task_id])

    def _turn(self, attempt: FailedTask) -> tuple[int, int]:
        """Sort who was never asked for before who was, and those by how often and how long ago."""
        finding = self._before.get((attempt.job_id, attempt.task_id))
        return (-1, 0) if finding is None else (finding["ask_count"], finding["examined_at"])

    def _is_askable(self, attempt: FailedTask) -> bool:
        """Return whether a log may be asked for; with other rules many are due that may not."""
        finding = self._before.get((attempt.job_id, attempt.task_id))
        return finding is None or finding["log_error"] is None or self._is_overdue(finding)

    def _is_overdue(self, finding: Finding) -> bool:
        next_ask = self._next_ask(finding)
        return next_ask is not None and self._now >= next_ask

    def _next_ask(self, finding: Finding) -> datetime | None:
        """Give when to ask for a missing log again; None = never."""
        if finding["log_error"] is None or finding["is_given_up"]:
            return None
        wait = min(timedelta(minutes=2 ** max(finding["ask_count"] - 1, 0)), LONGEST_WAIT)
        last: datetime = EPOCH + finding["examined_at"] * MICROSECOND
        return last + wait if last <= self._now else self._now  # clocks step backwards

    def _examine(self, attempts: list[FailedTask]) -> None:
        """Fetch what is not stored and classify.

        What was refused must be on disk when the poll is killed: else the next one asks for the same logs.
        """
        of_job: defaultdict[int, list[FailedTask]] = defaultdict(list)
        for attempt in attempts:
            of_job[attempt.job_id].append(attempt)
        askable = [attempt for attempt in attempts if self._is_askable(attempt)]
        answered: list[FailedTask] = []
        for _ in range(2):  # only after the first time it is known who printed nothing
            for job_id in self._fetching.fetch(askable):
                answered += of_job[job_id]
                if monotonic() >= self._write_from:
                    self._settle(answered)
                    self._write()
                    answered = []
        self._settle(attempts)
        if monotonic() >= self._write_from:
            self._write()

    def _settle(self, attempts: list[FailedTask]) -> None:
        """Classify those that wait for no log."""
        for attempt in attempts:
            if not (self._is_askable(attempt) and self._fetching.is_waiting(attempt)):
                key = attempt.job_id, attempt.task_id
                self._findings[key] = self._judge(attempt)
                self._judged[key] = None
                self._is_written = False

    def _write(self) -> None:
        """Write the findings, and note when that may be done again."""
        if self._is_written:
            return
        started = monotonic()
        write_findings(self._store, self._findings.values())
        self._is_written = True
        self._write_from = monotonic() + (monotonic() - started) / WRITING_SHARE

    def _judge(self, attempt: FailedTask) -> Finding:
        """Make the finding of an attempt out of what is stored."""
        from fmon.causes import analyze_logs  # loads re2

        own, controllers = attempt.logs
        info = analyze_logs(
            self._fetching.text(own) or "",
            attempt.status,
            failure_reason=attempt.failure_reason,
            controller_log=self._fetching.text(controllers),
            patterns=self._manifest.patterns,
        )
        return {
            "experiment_id": self._store.experiment_id,
            "job_id": attempt.job_id,
            "task_id": attempt.task_id,
            "rules_version": self._version,
            "examined_at": (self._now - EPOCH) // MICROSECOND,
            **self._logs_of(attempt),
            **_columns(info),
        }

    def _logs_of(self, attempt: FailedTask) -> Finding:
        """Say what became of the logs: which are missing, why, and whether they are asked for again."""
        before = self._before.get((attempt.job_id, attempt.task_id), {})
        ask_count = before.get("ask_count", 0) + (attempt.job_id in self._fetching.asked)
        missing = self._fetching.missing(attempt)
        faults = [self._fetching.faults[ask] for ask in missing if ask in self._fetching.faults]
        error, is_given_up = None, False
        if faults:
            error = "; ".join(dict.fromkeys(map(str, faults)))
            is_final = [type(fault) for fault in faults] == [LogMissingError] * len(missing)
            is_given_up = is_final or ask_count >= MOST_ASKS
        elif missing:  # nobody was there to be asked: what was said before still holds
            error = before.get("log_error") or NOT_ASKED
            is_given_up = before.get("is_given_up", False)
        has_any = any(self._fetching.text(ask) is not None for ask in attempt.logs)
        return {
            "log_state": "stored" if has_any else "missing",
            "log_error": error,
            "ask_count": ask_count,
            "is_given_up": is_given_up,
        }


def _failed(store: Store) -> Iterator[FailedTask]:
    """List the failed job tasks, by the state."""
    failed = failed_statuses()
    columns = read_columns(store, ["job_id", "task_id", "status", "failure_reason"])
    return (
        attempt for attempt in map(FailedTask._make, zip(*columns, strict=True)) if attempt.status in failed
    )


def _failures(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures"


def _version(patterns: Sequence[Pattern]) -> str:
    """Name the rules, and the user's own patterns where there are any."""
    from fmon.causes import RULES_VERSION

    if not patterns:
        return str(RULES_VERSION)
    return f"{RULES_VERSION}+{sha256(msgspec.json.encode(list(patterns))).hexdigest()[:8]}"


def _columns(info: FailureInfo) -> Finding:
    """Write a classification as columns of ``schema.FINDING``."""
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
        "confidence": info.confidence,
    }
