"""The logs of jobs, wherever they are read from (floor 4).

A ``LogReader`` can read and nothing else, as a ``QueueReader``. What it gives is raw: SkyPilot's
prefixes, ANSI codes and secrets are still in it, so it goes through ``cleaned`` before it is shown or stored.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fmon.errors import QueueError
from fmon.sky.ends import Ends
from fmon.sky.queue import SDK_MAY_KNOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 120.0
CHUNK_BYTES = 1 << 20


class LogMissingError(QueueError):
    """There is no such log, and asking again will not bring it."""


class LogsDownError(QueueError):
    """Whoever gives the logs gives none at present: asking for other ones would be no use now."""


class LogAsk(NamedTuple):
    """One log: what a job printed, or what its controller did for it (provisioning, recovery)."""

    job_id: int
    is_controller: bool = False

    @property
    def file_name(self) -> str:
        """Name its file in a recording; in a store with ``.zst`` behind it."""
        return f"{self.job_id}.controller.log" if self.is_controller else f"{self.job_id}.log"


class LogReader(Protocol):
    """Reads logs of managed jobs; ``name`` is where: sky, file:PATH, recording."""

    name: str

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Read logs as far as they are written, without following, one after the other.

        Parameters
        ----------
        asks : the logs; each is answered at most once, in this order
        timeout_s : what there is no time for [s] is not answered, nor what comes after a LogsDownError

        Yields
        ------
        LogAsk, bytes or QueueError
            The raw log (of a long one head and tail, with the cut marked), or why it can't be had:
            LogMissingError where asking again is no use, LogsDownError where it holds for all logs and
            is the last answer, else a QueueError.
        """
        ...


class SkyLogs:
    """SkyPilot's API server: plain HTTP, and its SDK for the rest where that is not enough."""

    name = "sky"

    def __init__(self, http: LogReader, open_sdk: Callable[[], LogReader]) -> None:
        self._http = http
        self._open_sdk = open_sdk

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Read logs; see ``LogReader.read``."""
        until = time.monotonic() + timeout_s
        for number, (ask, answer) in enumerate(self._http.read(asks, timeout_s=timeout_s)):
            if isinstance(answer, QueueError) and answer.error_type in SDK_MAY_KNOW:
                yield from self._open_sdk().read(asks[number:], timeout_s=until - time.monotonic())
                return
            yield ask, answer


class RecordedLogs:
    """The logs in a recording: LOGS/<job_id>.log and LOGS/<job_id>.controller.log."""

    name = "recording"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Read logs; see ``LogReader.read``."""
        del timeout_s
        for ask in asks:
            path = self._folder / ask.file_name
            try:
                yield ask, _ends_of(path)
            except OSError as fault:
                yield ask, LogMissingError(f"the recording has no {path.name} ({fault.strerror})")


class NoLogs:
    """A queue that is read from a file comes without logs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Answer each with that; see ``LogReader.read``."""
        del timeout_s
        for ask in asks:
            yield ask, LogMissingError(f"the queue was read from {self.name}, which has no logs")


def open_logs(src: str | None) -> LogReader:
    """Choose how logs are read, by where the queue is read from.

    Parameters
    ----------
    src : as in ``open_queue``
    """
    if (src or "sky") != "sky":
        return NoLogs(src or "")
    from fmon.sky.http_logs import HttpLogs

    return SkyLogs(HttpLogs(), _sdk_logs)


def read_log(reader: LogReader, ask: LogAsk, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Read one log.

    Raises
    ------
    QueueError
        There is none to be had, and why.
    """
    for _, answer in reader.read([ask], timeout_s=timeout_s):
        if isinstance(answer, QueueError):
            raise answer
        return answer
    message = f"the log of job {ask.job_id} was not given within {timeout_s:g} s"
    raise QueueError(message, error_type="Timeout")


def _ends_of(path: Path) -> bytes:
    ends = Ends()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            ends.add(chunk)
    return ends.value()


def _sdk_logs() -> LogReader:
    from fmon.sky.sdk import SdkLogs  # only the few looks that need it pay for it

    return SdkLogs()
