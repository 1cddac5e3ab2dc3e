"""The logs of failed attempts, from SkyPilot into the store.

A log is cleaned and redacted in memory; only then it is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import QueueError
from fmon.sky.clean_log import cleaned, is_silent, no_log
from fmon.sky.reader import LogAsk, LogMissingError
from fmon.store.job_logs import load_log, save_log

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """How many logs may be asked for, and the time for it; the clock runs from the start."""

    def __init__(self, *, logs: int = 20, seconds: float = 60.0) -> None:
        self.logs = logs
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Time that is left [s]; 0 where no more logs may be asked for."""
        return max(0.0, self._until - time.monotonic()) if self.logs > 0 else 0.0


class Fetching:
    """Fetches what is not stored; remembers what can't be had.

    Attributes
    ----------
    asked : jobs that a log was asked of
    faults : why a log can't be had
    """

    def __init__(self, store: Store, reader: LogReader | None, budget: Budget) -> None:
        self.asked: set[int] = set()
        self.faults: dict[LogAsk, QueueError] = {}
        self._store, self._reader, self._budget = store, reader, budget

    def fetch(self, attempts: Iterable[FailedTask]) -> None:
        """Ask for the missing logs within the budget, and store each as soon as it is there."""
        asks = dict.fromkeys(ask for attempt in attempts for ask in self.missing(attempt))
        wanted = [ask for ask in asks if ask not in self.faults][: self._budget.logs]
        if not wanted or self._reader is None or not self._budget.left_s:
            return
        for ask, answer in self._reader.read(wanted, timeout_s=self._budget.left_s):
            self._budget.logs -= 1
            self.asked.add(ask.job_id)
            if isinstance(answer, QueueError):
                self.faults[ask] = answer
                continue
            text = cleaned(answer)
            if reason := no_log(text):
                self.faults[ask] = LogMissingError(reason)
            else:
                save_log(self._store, ask.file_name, text)

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
        """Tell whether a log that could be asked for was not, for want of time."""
        return self._reader is not None and any(ask not in self.faults for ask in self.missing(attempt))

    def text(self, ask: LogAsk) -> str | None:
        """Read a stored log."""
        return load_log(self._store, ask.file_name)
