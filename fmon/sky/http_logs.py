"""Read logs over plain HTTP: one streamed response per log, limited in time and size.

SkyPilot streams a log as text. Only the record of the request tells whether the stream failed, so it is
requested afterwards.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fmon.errors import QueueError
from fmon.sky.arrivals import Arrivals
from fmon.sky.endpoint import Endpoint, find_endpoint
from fmon.sky.head_and_tail import PartedEnds
from fmon.sky.http_wire import body_of, connect, explain, headers_of, refuse_proxy
from fmon.sky.protocol import (
    GET_PATH,
    LOGS_PATH,
    REQUEST_ID,
    logs_body,
    refusal,
    request_headers,
    require_json,
)
from fmon.sky.reader import LogsDownError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from http.client import HTTPConnection, HTTPResponse

    from fmon.sky.reader import LogRequest

EACH_S = 20.0
"""Longest time for one log [s]: a slow one must not keep the others from being read."""

LEAST_SHARE = 0.25
"""With a smaller share of that time left, a request would only be one more failure."""

MAX_LATE = 3
"""After this many timeouts in a row no more logs are requested: the server hangs."""

STREAM_BYTES = 32 << 20
"""Of a longer log only the beginning is streamed, then its last lines are requested."""

TAIL_LINES = 10_000
SILENCE_S = 120.0
"""Without a heartbeat for this time, the server is considered gone; it sends one every 30 s."""

CHUNK_BYTES = 64 << 10
MAX_REFUSAL_BYTES = 64 << 10


class HttpLogs:
    """The logs of SkyPilot's API server."""

    name = "sky"

    def __init__(self, *, each_s: float = EACH_S, stream_bytes: int = STREAM_BYTES) -> None:
        self._each_s = each_s
        self._stream_bytes = stream_bytes

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Read logs one by one; see ``LogReader.read``."""
        until = time.monotonic() + timeout_s
        late_count = 0
        for request in requests:
            left_s = until - time.monotonic()
            if left_s < self._each_s * LEAST_SHARE:
                return
            try:
                endpoint = find_endpoint()
                refuse_proxy(endpoint.url)
                yield request, self._log(endpoint, request, min(left_s, self._each_s))
            except QueueError as error:
                late_count = late_count + 1 if error.error_type == "Timeout" else 0
                if error.error_type == "ApiServerConnectionError" or late_count == MAX_LATE:
                    yield request, LogsDownError(str(error), error_type=error.error_type)
                    return
                yield request, error
            else:
                late_count = 0

    def stream(
        self, request: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Yield a log as it arrives; see ``LogStreamer.stream``."""
        endpoint = find_endpoint()
        refuse_proxy(endpoint.url)
        yield from _LiveStream(endpoint, request, tail, follow=follow).pieces(timeout_s)

    def _log(self, endpoint: Endpoint, request: LogRequest, deadline_s: float) -> bytes:
        """Read one log; only its head and tail if it is too long for the time or the size."""
        began = time.monotonic()
        head = _Stream(endpoint, request, None, self._stream_bytes)
        head.run_for(deadline_s * 2 / 3)
        if head.is_complete:
            return head.ends.value()
        if not head.ends.total:
            raise head.timeout(deadline_s)
        tail = _Stream(endpoint, request, TAIL_LINES, self._stream_bytes)
        tail.run_for(deadline_s - (time.monotonic() - began))
        if not tail.is_complete:
            raise tail.timeout(deadline_s)
        return head.ends.joined(tail.ends)


class _Stream:
    """The stream of one log, on a separate thread: the caller's deadline holds whatever the server does."""

    def __init__(
        self,
        endpoint: Endpoint,
        request: LogRequest,
        tail: int | None,
        most_bytes: int = sys.maxsize,
        *,
        follow: bool = False,
    ) -> None:
        self.ends = PartedEnds()
        self.is_complete = False
        self._endpoint = endpoint
        self._body = logs_body(
            endpoint, request.job_id, controller=request.is_controller, tail=tail, follow=follow
        )
        self._most_bytes = most_bytes
        self._connection: HTTPConnection | None = None
        self._error: BaseException | None = None

    def run_for(self, deadline_s: float) -> None:
        """Stream until the log ends, is too long, or the time is up.

        Raises
        ------
        QueueError
            The server has no log, or the stream was interrupted.
        """
        self._connection = connect(self._endpoint.url, max(0.1, deadline_s))
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        thread.join(max(0.0, deadline_s))
        if thread.is_alive():
            self._abandon()
            return
        if self._error is None or isinstance(self._error, TimeoutError):
            return
        raise self._explained(self._error)

    def timeout(self, deadline_s: float) -> QueueError:
        """Return the error for a log that took too long."""
        where = f"SkyPilot's API server at {self._endpoint.url}"
        message = f"{where} did not send the entire log within {deadline_s:.3g} s"
        return QueueError(message, error_type="Timeout")

    def _explained(self, error: BaseException) -> QueueError:
        return error if isinstance(error, QueueError) else explain(error, self._endpoint.url)

    def _keep(self, chunk: bytes) -> bool:
        """Take a piece of the log; return whether more is wanted."""
        self.ends.add(chunk)
        return self.ends.total <= self._most_bytes

    def _abandon(self) -> None:
        """Make the thread stop waiting."""
        sock = self._connection and self._connection.sock
        if sock:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        """Stream, then ask how the request ended; keep an error for ``run_for``."""
        assert self._connection is not None
        try:
            request_id = self._stream(self._connection)
            if request_id is not None:
                self._ask_for_end(self._connection, request_id)
                self.is_complete = True
        except Exception as error:
            self._error = error
        finally:
            self._connection.close()

    def _stream(self, connection: HTTPConnection) -> str | None:
        """Read the log and return the id of its request; None if it is too long to be read entirely."""
        headers = {"Content-Type": "application/json", **self._headers()}
        connection.request("POST", self._path(LOGS_PATH), self._body, headers)
        response = connection.getresponse()
        self._check(response)
        while chunk := response.read1(CHUNK_BYTES):
            if not self._keep(chunk):
                return None
        if response.length:
            raise ConnectionResetError
        request_id = response.getheader(REQUEST_ID)
        if not request_id:
            message = (
                "the endpoint is not SkyPilot's API server: its response has no request id; "
                "check it with `sky api info`"
            )
            raise QueueError(message, error_type="BadAnswer")
        return request_id

    def _check(self, response: HTTPResponse) -> None:
        """Refuse a response that is not a log."""
        headers = headers_of(response)
        if response.status != 200:
            raise refusal(response.status, headers, response.read(MAX_REFUSAL_BYTES))
        require_json(headers, b"")
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            message = "SkyPilot's API server sends logs in an encoding that was not requested"
            raise QueueError(message, error_type="BadAnswer")

    def _ask_for_end(self, connection: HTTPConnection, request_id: str) -> None:
        """Raise the error of the request, if any: a failed stream ends like a complete one."""
        connection.request("GET", self._path(GET_PATH + quote(request_id, safe="")), None, self._headers())
        response = connection.getresponse()
        body = body_of(response)
        if response.status not in (200, 404):  # 404: the server was restarted, the log is complete
            raise refusal(response.status, headers_of(response), body)

    def _headers(self) -> dict[str, str]:
        # Not compressed: a stream would have to be decompressed in limited memory.
        return {**request_headers(self._endpoint), "Accept": "*/*", "Accept-Encoding": "identity"}

    def _path(self, path: str) -> str:
        return urlsplit(self._endpoint.url).path + path


class _LiveStream(_Stream):
    """The stream of one log to show, of any size."""

    def pieces(self, timeout_s: float | None) -> Iterator[bytes]:
        """Yield the log as it arrives; see ``LogStreamer.stream``."""
        self._arrivals = Arrivals()
        self._connection = connect(self._endpoint.url, SILENCE_S)
        threading.Thread(target=self._run_to_end, daemon=True).start()
        try:
            yield from self._arrivals.pieces(timeout_s)
        finally:  # the server stops as well when the connection is closed
            self._arrivals.close()
            self._abandon()

    def _keep(self, chunk: bytes) -> bool:
        return self._arrivals.put(chunk)

    def _run_to_end(self) -> None:
        self._run()
        error = self._error
        if isinstance(error, TimeoutError):
            message = f"SkyPilot's API server at {self._endpoint.url} sent nothing for {SILENCE_S:g} s"
            error = QueueError(message, error_type="Timeout")
        self._arrivals.end(error and self._explained(error))
