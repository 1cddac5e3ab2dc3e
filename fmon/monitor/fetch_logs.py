"""Fetch the logs of failed attempts from SkyPilot into the store.

A log is cleaned and redacted in memory before it is written.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

from fmon.errors import QueueError
from fmon.sky.clean_log import cleaned
from fmon.sky.log_parts import NOT_MARKED, Part, controller_part_of, no_log, part_of, tasks_in
from fmon.sky.logs import NoLogs, RecordedLogs
from fmon.sky.reader import LogsDownError
from fmon.store.job_logs import load_log, save_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.monitor.failed_tasks import FailedTask
    from fmon.sky.reader import LogReader, LogRequest
    from fmon.store.folder import Store

CONTROLLER_KNOWS = frozenset({"FAILED_SETUP", "FAILED_PRECHECKS", "FAILED_NO_RESOURCE", "FAILED_CONTROLLER"})
"""Statuses whose cause may be in the controller's log; otherwise it is only read for jobs without output."""


KEPT_PARTS = 8
"""Parts of logs to keep in memory: an attempt's are needed several times."""


class NoLogError(QueueError):
    """SkyPilot printed something else instead of a log, which may come later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, error_type="NoLog")


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

    A log without the task's output is missing too: it is requested again, and what SkyPilot printed instead
    is the reason.

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
        self._answered: set[LogRequest] = set()
        self._parts: dict[tuple[LogRequest, int], Part] = {}
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
            requests = [request for request in self.missing(attempt) if self._is_open(attempt, request)]
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

    def _is_open(self, attempt: FailedTask, request: LogRequest) -> bool:
        """Return whether a request has no answer yet, and SkyPilot can give one."""
        if request in self._answered or request in self.faults:
            return False
        return request.is_controller or not self._is_early(attempt)

    def _is_early(self, attempt: FailedTask) -> bool:
        """Return whether SkyPilot would show the log of another task of the job, which has not ended."""
        return attempt.has_open_tasks and not isinstance(self._reader, RecordedLogs)

    def _keep(self, request: LogRequest, answer: bytes | QueueError) -> None:
        """Store a log, or remember why there is none."""
        self._answered.add(request)
        if isinstance(answer, QueueError):
            self.faults[request] = answer
            return
        text = cleaned(answer)
        if reason := no_log(text):
            self.faults[request] = NoLogError(reason)
        elif not tasks_in(self.text(request) or "") - tasks_in(text):  # no part is lost
            save_log(self._store, request.file_name, text)
            self._absent.discard(request)
            self._parts.clear()

    def missing(self, attempt: FailedTask) -> list[LogRequest]:
        """Return the needed logs that are not stored, with the controller's if the task printed nothing."""
        own, controllers = attempt.logs
        part = self.part(attempt, own)
        missing = [] if part is not None and part.no_log_reason is None else [own]
        is_mute = self.fault(attempt, own) is not None if part is None else part.is_silent
        if is_mute or attempt.status in CONTROLLER_KNOWS:
            missing += [] if self.has_controllers(attempt) else [controllers]
        return missing

    def fault(self, attempt: FailedTask, request: LogRequest) -> QueueError | None:
        """Return why a missing log is not available; None if it was not requested."""
        if request in self.faults:
            return self.faults[request]
        if not request.is_controller and self._is_early(attempt):
            return NoLogError(NOT_MARKED)
        part = self.part(attempt, request)
        if part is None or part.no_log_reason is None:
            return None
        return NoLogError(part.no_log_reason)

    def is_waiting(self, attempt: FailedTask) -> bool:
        """Return whether an attempt has missing logs that were not requested yet, and no request failed.

        After one failure it is classified without the log; otherwise the next poll would begin with it again.
        What SkyPilot printed instead of a log is no failure: the controller's log is waited for.
        """
        if self._reader is None:
            return False
        faults = [self.fault(attempt, request) for request in self.missing(attempt)]
        return None in faults and all(fault is None or isinstance(fault, NoLogError) for fault in faults)

    def has_controllers(self, attempt: FailedTask) -> bool:
        """Return whether the task's part of the controller's log is stored."""
        part = self.part(attempt, attempt.logs[1])
        return part is not None and part.no_log_reason is None

    def part(self, attempt: FailedTask, request: LogRequest) -> Part | None:
        """Return the task's part of a stored log."""
        key = request, attempt.task_id
        if key in self._parts:
            return self._parts[key]
        text = self.text(request)
        if text is None:
            return None
        if len(self._parts) >= KEPT_PARTS:
            self._parts.clear()
        self._parts[key] = (controller_part_of if request.is_controller else part_of)(text, attempt.task_id)
        return self._parts[key]

    def text(self, request: LogRequest) -> str | None:
        """Read a stored log."""
        if request in self._absent:
            return None
        text = load_log(self._store, request.file_name)
        if text is None:
            self._absent.add(request)
        return text
