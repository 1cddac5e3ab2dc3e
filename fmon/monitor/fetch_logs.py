"""The logs of failed attempts, from SkyPilot into the store.

A log is cleaned and redacted in memory; only then it is written.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import QueueError
from fmon.sky.clean_log import cleaned, is_silent, no_log
from fmon.sky.logs import NoLogs, RecordedLogs
from fmon.sky.reader import LogAsk, LogMissingError, LogsDownError
from fmon.store.job_logs import load_log, save_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.sky.reader import LogReader
    from fmon.store.folder import Store

CONTROLLER_KNOWS = frozenset({"FAILED_SETUP", "FAILED_PRECHECKS", "FAILED_NO_RESOURCE", "FAILED_CONTROLLER"})
"""Statuses whose cause may stand in the controller's log; else only a silent job's is read."""


class FailedTask(NamedTuple):
    """A failed job task as the queue last showed it."""

    job_id: int
    task_id: int
    status: str
    failure_reason: str | None

    @property
    def logs(self) -> tuple[LogAsk, LogAsk]:
        """Its log and its controller's."""
        return LogAsk(self.job_id), LogAsk(self.job_id, is_controller=True)


class Budget:
    """How many jobs' logs may be asked for, and the time for it; the clock runs from the start.

    A job's own log and its controller's count as one: a job whose first log is asked for gets both.
    """

    def __init__(self, *, jobs: int = 20, seconds: float = 60.0) -> None:
        self.jobs = jobs
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Time that is left [s]."""
        return max(0.0, self._until - time.monotonic())

    @property
    def is_spent(self) -> bool:
        """No further job's logs may be asked for."""
        return self.jobs <= 0 or not self.left_s


def budget_of(reader: LogReader | None) -> Budget:
    """Return what one poll may take: 20 jobs and 60 s, and no limit where no server has to be asked."""
    if isinstance(reader, (NoLogs, RecordedLogs)):
        return Budget(jobs=sys.maxsize, seconds=math.inf)
    return Budget()


class Fetching:
    """Fetches what is not stored; remembers what can't be had.

    Attributes
    ----------
    asked
        Jobs that a log was asked of.
    faults
        Why a log can't be had.
    """

    def __init__(self, store: Store, reader: LogReader | None, budget: Budget) -> None:
        self.asked: set[int] = set()
        self.faults: dict[LogAsk, QueueError] = {}
        self._store, self._reader, self._budget = store, reader, budget
        self._budgeted: set[int] = set()
        self._absent: set[LogAsk] = set()  # nobody else stores logs while this experiment is examined
        self._down: LogsDownError | None = None

    def fetch(self, attempts: Iterable[FailedTask]) -> Iterator[int]:
        """Ask for the missing logs within the budget, and store each as soon as it is there.

        Yields
        ------
        int
            The job of each log that is stored now, or of which it is known now why it can't be had.
        """
        wanted = self._within_budget(attempts) if self._reader else []
        for ask, answer in self._answers(wanted):
            self.asked.add(ask.job_id)
            wanted.remove(ask)
            self._keep(ask, answer)
            yield ask.job_id
        if self._down is not None:  # it answers for the others too; they were not asked for
            for ask in wanted:
                self.faults[ask] = self._down
                yield ask.job_id

    def _within_budget(self, attempts: Iterable[FailedTask]) -> list[LogAsk]:
        """List the logs to ask for; each job that is new among them is taken off the budget."""
        wanted: dict[LogAsk, None] = {}
        for attempt in attempts:
            asks = [ask for ask in self.missing(attempt) if ask not in self.faults]
            if asks and attempt.job_id not in self._budgeted and not self._budget.is_spent:
                self._budget.jobs -= 1
                self._budgeted.add(attempt.job_id)
            if attempt.job_id in self._budgeted:
                wanted.update(dict.fromkeys(asks))
        return list(wanted)

    def _answers(self, wanted: list[LogAsk]) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Ask, in the time that is left, until somebody says that it is no use."""
        if self._reader is None or not wanted or self._down is not None or not self._budget.left_s:
            return
        for ask, answer in self._reader.read(tuple(wanted), timeout_s=self._budget.left_s):
            yield ask, answer
            if isinstance(answer, LogsDownError):
                self._down = answer
                return

    def _keep(self, ask: LogAsk, answer: bytes | QueueError) -> None:
        """Store a log, or remember why there is none."""
        if isinstance(answer, QueueError):
            self.faults[ask] = answer
            return
        text = cleaned(answer)
        if reason := no_log(text):
            self.faults[ask] = LogMissingError(reason)
        else:
            save_log(self._store, ask.file_name, text)
            self._absent.discard(ask)

    def missing(self, attempt: FailedTask) -> list[LogAsk]:
        """List the logs that are to be read and not stored; the controller's of who printed nothing too."""
        own, controllers = attempt.logs
        text = self.text(own)
        missing = [] if text is not None else [own]
        is_mute = own in self.faults if text is None else is_silent(text)
        if (is_mute or attempt.status in CONTROLLER_KNOWS) and self.text(controllers) is None:
            missing.append(controllers)
        return missing

    def is_waiting(self, attempt: FailedTask) -> bool:
        """Return whether none of its missing logs was refused and one was not asked for, for want of budget.

        One refusal is enough to judge by what there is: else who asks next would ask for the same log first.
        """
        if self._reader is None:
            return False
        missing = self.missing(attempt)
        return bool(missing) and self.faults.keys().isdisjoint(missing)

    def text(self, ask: LogAsk) -> str | None:
        """Read a stored log."""
        if ask in self._absent:
            return None
        text = load_log(self._store, ask.file_name)
        if text is None:
            self._absent.add(ask)
        return text
