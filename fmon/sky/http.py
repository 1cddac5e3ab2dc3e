"""Read the queue over plain HTTP: the hot path of ``fmon poll`` (floor 4).

Two requests on one connection; nothing that changes a job can be asked from here. Importing
SkyPilot's SDK alone takes longer than all of this.

After a timeout the server goes on working on what it was asked: SkyPilot puts even the wish to
cancel a request at the end of the same line (skypilot issue 7703), so cancelling adds load.
Instead the request is remembered, and the next look first waits for it: however long a
server hangs, one request of ours is in its line.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
import zlib
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from fmon.errors import QueueError
from fmon.sky.endpoint import Endpoint, find_endpoint
from fmon.sky.protocol import (
    GET_PATH,
    QUEUE_PATH,
    REQUEST_ID,
    jobs_of,
    one_line,
    queue_body,
    refusal,
    request_headers,
    require_json,
)
from fmon.sky.queue import Answer
from fmon.sky.record import parse_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse
    from pathlib import Path

DEADLINE_S = 60.0
MAX_BODY_BYTES = 256 << 20
CHUNK_BYTES = 1 << 20
FORGET_AFTER_S = 600.0
"""A request whose worker was killed stays unfinished for ever (skypilot issue 5048)."""


class _LeftBehind(msgspec.Struct, frozen=True):
    """A request that we gave up waiting for and the server may still work on."""

    url: str
    request_id: str
    asked_at: float


class HttpQueue:
    """SkyPilot's API server over HTTP."""

    name = "sky"

    def __init__(self, *, memo: Path | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._memo = memo
        self._deadline_s = deadline_s
        self._left_behind: _LeftBehind | None = None

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Look at the queue once, within the deadline whatever the server does; see ``QueueReader``."""
        endpoint = find_endpoint()
        _refuse_proxy(endpoint.url)
        exchange = _Exchange(endpoint, self._recall(endpoint.url), self._deadline_s)
        exchange.start()
        if while_waiting is not None:
            while_waiting()
        body, error = exchange.wait()
        self._remember(exchange.unfinished)
        if error is not None:
            raise error
        records, bad = parse_records(jobs_of(body))
        return Answer(polled_at=exchange.ended_at, records=records, bad=bad, latency_s=exchange.latency_s)

    def _recall(self, url: str) -> _LeftBehind | None:
        """Give the request that an earlier look left behind at this server."""
        left = self._left_behind
        if self._memo is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                left = msgspec.json.decode(self._memo.read_bytes(), type=_LeftBehind)
        is_waiting = left is not None and left.url == url and 0 <= time.time() - left.asked_at < FORGET_AFTER_S
        return left if is_waiting else None

    def _remember(self, unfinished: _LeftBehind | None) -> None:
        """Keep or drop the note; without it the next poll just asks anew."""
        self._left_behind = unfinished
        if self._memo is None:
            return
        with contextlib.suppress(OSError):
            if unfinished is None:
                self._memo.unlink(missing_ok=True)
            else:
                self._memo.write_bytes(msgspec.json.encode(unfinished))


class _Exchange(threading.Thread):
    """Both requests, on a thread of their own.

    So the caller's deadline holds against slow name servers and dripped bytes, which no socket
    timeout bounds, and the caller can import what it needs meanwhile.
    """

    def __init__(self, endpoint: Endpoint, left_behind: _LeftBehind | None, deadline_s: float) -> None:
        super().__init__(daemon=True)
        self.unfinished = left_behind
        self.ended_at = datetime.now(UTC)
        self.latency_s = 0.0
        self._endpoint = endpoint
        self._deadline_s = deadline_s
        self._started = time.monotonic()
        self._is_abandoned = False
        self._connection = _connect(endpoint.url, deadline_s)
        self._body = b""
        self._error: BaseException | None = None

    def run(self) -> None:
        """Ask and fetch; what goes wrong is kept for ``wait``."""
        try:
            if self.unfinished is not None:
                self._fetch(self.unfinished.request_id)
                self.unfinished = None
            request_id = self._ask()
            self.unfinished = _LeftBehind(self._endpoint.url, request_id, time.time())
            status, headers, body = self._fetch(request_id)
            self.unfinished = None
            if status == 404:
                message = "SkyPilot's API server has lost the request, it was restarted meanwhile; the next poll asks again"
                raise QueueError(message, error_type="ApiServerConnectionError")
            if status != 200:
                raise refusal(status, headers, body)
            require_json(headers, body)
            self._body = body
        except Exception as error:
            self._error = error
        finally:
            self.ended_at = datetime.now(UTC)
            self.latency_s = time.monotonic() - self._started
            self._connection.close()

    def wait(self) -> tuple[bytes, QueueError | None]:
        """Give the body of the answer, or why there is none, before the deadline ends."""
        self.join(max(0.0, self._started + self._deadline_s - time.monotonic()))
        if self.is_alive():
            self._abandon()
            return b"", self._timeout()
        if self._error is None or isinstance(self._error, QueueError):
            return self._body, self._error
        return b"", self._explain(self._error)

    def _abandon(self) -> None:
        """End the thread's waiting."""
        self._is_abandoned = True
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> str:
        """Post the question; the server answers at once with the id of its request."""
        status, headers, body = self._send("POST", QUEUE_PATH, queue_body(self._endpoint))
        if status != 200:
            raise refusal(status, headers, body)
        request_id = headers.get(REQUEST_ID)
        if not request_id:
            require_json(headers, body)
            message = "what answers at the endpoint is not SkyPilot's API server: it gave no request id"
            raise QueueError(message, error_type="BadAnswer")
        return request_id

    def _fetch(self, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """Wait for the request to end, on the server."""
        return self._send("GET", GET_PATH + quote(request_id, safe=""), None)

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        """Do one request."""
        if self._is_abandoned:
            raise TimeoutError
        headers = request_headers(self._endpoint)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, urlsplit(self._endpoint.url).path + path, body, headers)
        response = self._connection.getresponse()
        return response.status, _headers(response), _read(response)

    def _timeout(self) -> QueueError:
        message = (
            f"SkyPilot's API server at {self._endpoint.url} did not answer within {self._deadline_s:g} s;"
            " it may be busy, the next poll waits for the same request"
        )
        return QueueError(message, error_type="Timeout")

    def _explain(self, error: BaseException) -> QueueError:
        """Turn what the network did into one sentence."""
        where = f"SkyPilot's API server at {self._endpoint.url}"
        if isinstance(error, TimeoutError):
            return self._timeout()
        if isinstance(error, ssl.SSLCertVerificationError):
            message = f"the certificate of {where} could not be verified ({error.verify_message})"
            return QueueError(message, error_type="CertificateError")
        if isinstance(error, (IncompleteRead, ConnectionResetError, BrokenPipeError)):
            message = f"{where} closed the connection in the middle of its answer; it may be restarting"
            return QueueError(message, error_type="ApiServerConnectionError")
        if isinstance(error, (HTTPException, zlib.error, ValueError)):
            message = f"what answers at {self._endpoint.url} does not speak HTTP as expected ({one_line(repr(error))})"
            return QueueError(message, error_type="BadAnswer")
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            message = f"{where} can't be reached ({reason}); check with `sky api info`, fmon never starts a server"
            return QueueError(message, error_type="ApiServerConnectionError")
        raise error


def _connect(url: str, timeout_s: float) -> HTTPConnection:
    """Make a connection; it opens with the first request."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=timeout_s)
    return HTTPConnection(host, parts.port, timeout=timeout_s)


def _headers(response: HTTPResponse) -> dict[str, str]:
    """Give the headers by the names that SkyPilot documents, whatever case they came in."""
    known = {name.lower(): name for name in (REQUEST_ID, "X-SkyPilot-API-Version", "Content-Type")}
    return {known.get(name.lower(), name): value for name, value in response.getheaders()}


def _read(response: HTTPResponse) -> bytes:
    """Read a body to its end; a longer one than any queue has is refused."""
    chunks, size = [], 0
    while chunk := response.read(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        _refuse_flood(size)
    if response.length:
        raise IncompleteRead(b"", response.length)
    body = b"".join(chunks)
    if response.getheader("Content-Encoding", "").lower() != "gzip":
        return body
    unpack = zlib.decompressobj(31)
    body = unpack.decompress(body, MAX_BODY_BYTES + 1)
    _refuse_flood(len(body))
    if not unpack.eof:
        raise IncompleteRead(b"")
    return body


def _refuse_flood(size: int) -> None:
    if size > MAX_BODY_BYTES:
        message = f"SkyPilot's API server sent more than {MAX_BODY_BYTES >> 20} MB for one queue; that is no queue"
        raise QueueError(message, error_type="BadAnswer")


def _refuse_proxy(url: str) -> None:
    """Leave an endpoint behind a proxy to the SDK, which knows all kinds of them."""
    scheme = urlsplit(url).scheme
    names = (f"{scheme}_proxy", "all_proxy")
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in names):
        return
    from urllib.request import proxy_bypass  # 30 ms that only those behind a proxy pay

    if not proxy_bypass(urlsplit(url).hostname or ""):
        raise QueueError("a proxy stands before SkyPilot's API server", error_type="ProxyRequired")
