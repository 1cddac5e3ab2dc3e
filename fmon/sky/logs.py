"""Read the logs of jobs, from SkyPilot or from a recording.

A ``LogReader`` can only read, like a ``QueueReader``. The logs are raw, with SkyPilot's prefixes, ANSI
codes and secrets: pass them through ``cleaned`` before they are shown or stored.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fmon.errors import QueueError
from fmon.sky.head_and_tail import PartedEnds
from fmon.sky.reader import SDK_MAY_KNOW, LiveLogReader, LogMissingError, LogReader, LogRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 120.0
CHUNK_BYTES = 1 << 20


class SkyLogs:
    """SkyPilot's API server: plain HTTP, or its SDK for the remaining logs if that is not enough."""

    name = "sky"

    def __init__(self, http: LiveLogReader, open_sdk: Callable[[], LiveLogReader]) -> None:
        self._http = http
        self._open_sdk = open_sdk

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Read logs; see ``LogReader.read``."""
        until = time.monotonic() + timeout_s
        for number, (request, answer) in enumerate(self._http.read(requests, timeout_s=timeout_s)):
            if isinstance(answer, QueueError) and answer.error_type in SDK_MAY_KNOW:
                yield from self._open_sdk().read(requests[number:], timeout_s=until - time.monotonic())
                return
            yield request, answer

    def stream(
        self, request: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Yield a log as it arrives; see ``LogStreamer.stream``."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        has_arrived = False
        try:
            for piece in self._http.stream(request, follow=follow, tail=tail, timeout_s=timeout_s):
                has_arrived = has_arrived or bool(piece)
                yield piece
        except QueueError as error:
            if has_arrived or error.error_type not in SDK_MAY_KNOW:
                raise
        else:
            return
        left_s = None if until is None else until - time.monotonic()
        yield from self._open_sdk().stream(request, follow=follow, tail=tail, timeout_s=left_s)


class RecordedLogs:
    """The logs in a recording: LOGS/<job_id>.log and LOGS/<job_id>.controller.log.

    A recording made by hand may name the log of a later job with the same id like that of the first one: it
    is used unless the first one's log was asked for.
    """

    name = "recording"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given: set[str] = set()

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Read logs; see ``LogReader.read``."""
        del timeout_s
        for request in requests:
            path = self._folder / request.file_name
            first = request._replace(earlier_job_count=0).file_name
            if request.earlier_job_count and first not in self._given and not path.exists():
                path = self._folder / first
            self._given.add(path.name)
            try:
                yield request, _ends_of(path)
            except OSError as fault:
                yield request, LogMissingError(f"the recording has no {path.name} ({fault.strerror})")


class NoLogs:
    """The logs of a queue that is read from a file: there are none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Answer that there is no log; see ``LogReader.read``."""
        del timeout_s
        for request in requests:
            yield request, self._missing()

    def stream(
        self, request: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Raise the error that there is no log; see ``LogStreamer.stream``."""
        raise self._missing()

    def _missing(self) -> LogMissingError:
        return LogMissingError(f"the queue was read from {self.name}, which has no logs")


def open_logs(src: str | None) -> LiveLogReader:
    """Return the reader of logs for a source of the queue.

    Parameters
    ----------
    src
        As in ``open_queue``.
    """
    if (src or "sky") != "sky":
        return NoLogs(src or "")
    from fmon.sky.http_logs import HttpLogs

    return SkyLogs(HttpLogs(), _sdk_logs)


def read_log(reader: LogReader, request: LogRequest, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Read one log.

    Raises
    ------
    QueueError
        The log is not available; the message says why.
    """
    for _, answer in reader.read([request], timeout_s=timeout_s):
        if isinstance(answer, QueueError):
            raise answer
        return answer
    message = f"the log of job {request.job_id} did not arrive within {timeout_s:g} s; try again later"
    raise QueueError(message, error_type="Timeout")


def _ends_of(path: Path) -> bytes:
    ends = PartedEnds()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            ends.add(chunk)
    return ends.value()


def _sdk_logs() -> LiveLogReader:
    from fmon.sky.sdk import SdkLogs  # slow to import, and few polls need it

    return SdkLogs()
