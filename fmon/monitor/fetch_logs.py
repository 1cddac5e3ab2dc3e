"""Fetch the logs of failed attempts from SkyPilot into the store.

A log is cleaned and redacted in memory before it is written.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import QueueError
from fmon.sky.clean_log import cleaned, is_silent, no_log
from fmon.sky.logs import NoLogs, RecordedLogs
from fmon.sky.reader import LogMissingError, LogRequest, LogsDownError
from fmon.store.job_logs import load_log, save_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.sky.reader import LogReader
    from fmon.store.folder import Store

CONTROLLER_KNOWS = frozenset({"FAILED_SETUP", "FAILED_PRECHECKS", "FAILED_NO_RESOURCE", "FAILED_CONTROLLER"})
"""Statuses whose cause may be in the controller's log; otherwise it is only read for jobs without output."""


class FailedTask(NamedTuple):
    """A failed job task as of the last poll."""

    job_key: int
    task_id: int
    status: str
    failure_reason: str | None
    is_seen: bool = True

    @property
    def logs(self) -> tuple[LogRequest, LogRequest]:
        """The log of the job and that of its controller."""
        return LogRequest.of(self.job_key), LogRequest.of(self.job_key, is_controller=True)


class Budget:
    """The number of jobs whose logs may be requested, and the time for it, from now on.

    A job's own log and its controller's count as one.
    """

    def __init__(self, *, jobs: int = 20, seconds: float = 60.0) -> None:
        self.jobs = jobs
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Remaining time [s]."""
        return max(0.0, self._until - time.monotonic())

    @property
    def is_spent(self) -> bool:
        """Whether no further logs may be requested."""
        return self.jobs <= 0 or not self.left_s


def budget_of(reader: LogReader | None) -> Budget:
    """Return the budget of one poll: 20 jobs and 60 s, or no limit if no server is needed."""
    if isinstance(reader, (NoLogs, RecordedLogs)):
        return Budget(jobs=sys.maxsize, seconds=math.inf)
    return Budget()


class Fetching:
    """Fetches missing logs; remembers those that are not available.

    Attributes
    ----------
    asked
        Jobs whose log was requested.
    faults
        Why a log is not available.
    """

    def __init__(self, store: Store, reader: LogReader | None, budget: Budget) -> None:
        self.asked: set[int] = set()
        self.faults: dict[LogRequest, QueueError] = {}
        self._store, self._reader, self._budget = store, reader, budget
        self._budgeted: set[int] = set()
        self._absent: set[LogRequest] = set()  # no other process stores logs during an examination
        self._down: LogsDownError | None = None

    def fetch(self, attempts: Iterable[FailedTask]) -> Iterator[int]:
        """Request the missing logs within the budget, and store each one when it arrives.

        Yields
        ------
        int
            The job of each log that was stored or is not available.
        """
        pending = self._within_budget(attempts) if self._reader else []
        for request, answer in self._answers(pending):
            self.asked.add(request.job_key)
            pending.remove(request)
            self._keep(request, answer)
            yield request.job_key
        if self._down is not None:  # the others would fail too, and were not requested
            for request in pending:
                self.faults[request] = self._down
                yield request.job_key

    def _within_budget(self, attempts: Iterable[FailedTask]) -> list[LogRequest]:
        """Return the logs to request; each new job reduces the budget."""
        pending: dict[LogRequest, None] = {}
        for attempt in attempts:
            requests = [request for request in self.missing(attempt) if request not in self.faults]
            if requests and attempt.job_key not in self._budgeted and not self._budget.is_spent:
                self._budget.jobs -= 1
                self._budgeted.add(attempt.job_key)
            if attempt.job_key in self._budgeted:
                pending.update(dict.fromkeys(requests))
        return list(pending)

    def _answers(self, pending: list[LogRequest]) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Request logs in the remaining time, until the source is unavailable."""
        if self._reader is None or not pending or self._down is not None or not self._budget.left_s:
            return
        for request, answer in self._reader.read(tuple(pending), timeout_s=self._budget.left_s):
            yield request, answer
            if isinstance(answer, LogsDownError):
                self._down = answer
                return

    def _keep(self, request: LogRequest, answer: bytes | QueueError) -> None:
        """Store a log, or remember why there is none."""
        if isinstance(answer, QueueError):
            self.faults[request] = answer
            return
        text = cleaned(answer)
        if reason := no_log(text):
            self.faults[request] = LogMissingError(reason)
        else:
            save_log(self._store, request.file_name, text)
            self._absent.discard(request)

    def missing(self, attempt: FailedTask) -> list[LogRequest]:
        """Return the needed logs that are not stored, with the controller's if the job printed nothing."""
        own, controllers = attempt.logs
        text = self.text(own)
        missing = [] if text is not None else [own]
        is_mute = own in self.faults if text is None else is_silent(text)
        if (is_mute or attempt.status in CONTROLLER_KNOWS) and self.text(controllers) is None:
            missing.append(controllers)
        return missing

    def is_waiting(self, attempt: FailedTask) -> bool:
        """Return whether an attempt has missing logs, none of which failed: they were not requested yet.

        After one failure it is classified without the log; otherwise the next poll would begin with it again.
        """
        if self._reader is None:
            return False
        missing = self.missing(attempt)
        return bool(missing) and self.faults.keys().isdisjoint(missing)

    def text(self, request: LogRequest) -> str | None:
        """Read a stored log."""
        if request in self._absent:
            return None
        text = load_log(self._store, request.file_name)
        if text is None:
            self._absent.add(request)
        return text
