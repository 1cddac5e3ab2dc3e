"""Read the queue over plain HTTP: the hot path of ``fmon poll``, also used for the costs of a report.

Two requests on one connection; nothing here can change a job. Importing SkyPilot's SDK alone takes
longer than all of this.

After a timeout the server continues to work on the request. Cancelling it would only add load: SkyPilot
puts cancellations at the end of the same queue (skypilot issue 7703). Instead the request is remembered,
and the next one of its kind first waits for it, so a server that hangs has at most two of fmon to work on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from fmon.errors import QueueError
from fmon.sky.endpoint import Endpoint, find_endpoint
from fmon.sky.http_wire import body_of, connect, explain, headers_of, refuse_proxy
from fmon.sky.protocol import (
    GET_PATH,
    QUEUE_PATH,
    REQUEST_ID,
    jobs_of,
    queue_body,
    queue_of,
    refusal,
    request_headers,
    require_json,
    specs_body,
)
from fmon.sky.reader import Answer
from fmon.sky.record import parse_records, specs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from fmon.sky.reader import JobSpec

DEADLINE_S = 60.0
SPECS_DEADLINE_S = 20.0
"""Less than the time between two polls: the request about specs is not under the lock of polls."""

FORGET_AFTER_S = 600.0
"""A request whose worker was killed never finishes (skypilot issue 5048)."""


class Question(NamedTuple):
    """What is posted, and what happens after a failure, as part of the error message."""

    path: str
    body: bytes
    after_failure: str


class _LeftBehind(msgspec.Struct, frozen=True):
    """A request that timed out and that the server may still work on."""

    url: str
    request_id: str
    asked_at: float


class HttpQueue:
    """SkyPilot's API server over HTTP."""

    name = "sky"

    def __init__(self, *, memo: Path | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._queue_memo = _Memo(memo)
        # Of its own: a request about specs that hangs must not delay the next poll.
        self._specs_memo = _Memo(memo and memo.with_name(f"{memo.name}.specs"))

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the queue once, within the deadline whatever the server does; see ``QueueReader``."""
        exchange = _begin(queue_body, self._queue_memo, self._deadline_s)
        if while_waiting is not None:
            while_waiting()
        jobs, server_id = queue_of(_end(exchange, self._queue_memo))
        records, bad = parse_records(jobs)
        return Answer(
            polled_at=exchange.ended_at,
            records=records,
            bad=bad,
            latency_s=exchange.latency_s,
            server=exchange.endpoint.server,
            server_id=server_id,
        )

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Read the specs of some jobs; see ``SpecReader.read_specs``."""
        body_for = partial(specs_body, job_ids=job_ids)
        exchange = _begin(body_for, self._specs_memo, min(self._deadline_s, SPECS_DEADLINE_S))
        return specs_of(jobs_of(_end(exchange, self._specs_memo)))


def _begin(body_for: Callable[[Endpoint], bytes], memo: _Memo, deadline_s: float) -> _Exchange:
    """Send a request about the queue."""
    endpoint = find_endpoint()
    refuse_proxy(endpoint.url)
    question = Question(QUEUE_PATH, body_for(endpoint), "the next poll tries again")
    exchange = _Exchange(endpoint, question, memo.recall(endpoint.url), deadline_s)
    exchange.start()
    return exchange


def _end(exchange: _Exchange, memo: _Memo) -> bytes:
    """Wait for the response to a request; remember one that the server still works on."""
    body, error = exchange.wait()
    memo.remember(exchange.unfinished)
    if error is not None:
        raise error
    return body


class _Memo:
    """Remembers a request that the server may still work on, in a file if there is a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._left_behind: _LeftBehind | None = None

    def recall(self, url: str) -> _LeftBehind | None:
        """Return the request of an earlier poll that this server may still work on."""
        left = self._left_behind
        if self._path is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                left = msgspec.json.decode(self._path.read_bytes(), type=_LeftBehind)
        is_waiting = (
            left is not None and left.url == url and 0 <= time.time() - left.asked_at < FORGET_AFTER_S
        )
        return left if is_waiting else None

    def remember(self, unfinished: _LeftBehind | None) -> None:
        """Save or delete the unfinished request; without it the next poll sends a new one."""
        self._left_behind = unfinished
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if unfinished is None:
                self._path.unlink(missing_ok=True)
            else:
                self._path.write_bytes(msgspec.json.encode(unfinished))


def ask_once(endpoint: Endpoint, question: Question, *, deadline_s: float) -> bytes:
    """Send one request and return the response of ``/api/get`` to it.

    Raises
    ------
    QueueError
        There is no response within the deadline, or it is an error.
    """
    refuse_proxy(endpoint.url)
    exchange = _Exchange(endpoint, question, None, deadline_s)
    exchange.start()
    body, error = exchange.wait()
    if error is not None:
        raise error
    return body


class _Exchange:
    """Both requests, on a separate thread.

    The thread enforces the caller's deadline even with slow name servers and trickling bytes, which no socket
    timeout covers, and lets the caller import modules in the meantime.
    """

    def __init__(
        self, endpoint: Endpoint, question: Question, left_behind: _LeftBehind | None, deadline_s: float
    ) -> None:
        self.unfinished = left_behind
        self.ended_at = datetime.now(UTC)
        self.latency_s = 0.0
        self.endpoint = endpoint
        self._question = question
        self._deadline_s = deadline_s
        self._began = time.monotonic()
        self._is_abandoned = False
        self._connection = connect(endpoint.url, deadline_s)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._body = b""
        self._error: BaseException | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        """Send the request and fetch the response; keep an error for ``wait``."""
        try:
            self._body = self._exchange()
        except Exception as error:
            self._error = error
        finally:
            self.ended_at = datetime.now(UTC)
            self.latency_s = time.monotonic() - self._began
            self._connection.close()

    def _exchange(self) -> bytes:
        """Wait for the unfinished request, then send a new one and fetch its response."""
        if self.unfinished is not None:
            self._fetch(self.unfinished.request_id)
            self.unfinished = None
        request_id = self._ask()
        self.unfinished = _LeftBehind(self.endpoint.url, request_id, time.time())
        status, headers, body = self._fetch(request_id)
        self.unfinished = None
        if status == 404:
            message = (
                "SkyPilot's API server no longer knows the request, probably because it was restarted; "
                + self._question.after_failure
            )
            raise QueueError(message, error_type="ApiServerConnectionError")
        if status != 200:
            raise refusal(status, headers, body)
        require_json(headers, body)
        return body

    def wait(self) -> tuple[bytes, QueueError | None]:
        """Return the body of the response, or the reason there is none, within the deadline."""
        self._thread.join(max(0.0, self._began + self._deadline_s - time.monotonic()))
        if self._thread.is_alive():
            self._abandon()
            return b"", self._timeout()
        if self._error is None or isinstance(self._error, QueueError):
            return self._body, self._error
        if isinstance(self._error, TimeoutError):
            return b"", self._timeout()
        return b"", explain(self._error, self.endpoint.url)

    def _abandon(self) -> None:
        """Make the thread stop waiting."""
        self._is_abandoned = True
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> str:
        """Post the request; the server responds at once with an id."""
        status, headers, body = self._send("POST", self._question.path, self._question.body)
        if status != 200:
            raise refusal(status, headers, body)
        request_id = headers.get(REQUEST_ID)
        if not request_id:
            require_json(headers, body)
            message = (
                "the endpoint is not SkyPilot's API server: its response has no request id; "
                "check it with `sky api info`"
            )
            raise QueueError(message, error_type="BadAnswer")
        return request_id

    def _fetch(self, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """Wait until the server has finished the request."""
        return self._send("GET", GET_PATH + quote(request_id, safe=""), None)

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        """Send one HTTP request and return its response."""
        if self._is_abandoned:
            raise TimeoutError
        headers = request_headers(self.endpoint)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, urlsplit(self.endpoint.url).path + path, body, headers)
        response = self._connection.getresponse()
        return response.status, headers_of(response), body_of(response)

    def _timeout(self) -> QueueError:
        message = (
            f"SkyPilot's API server at {self.endpoint.url} did not answer within {self._deadline_s:g} s;"
            f" it may be busy; {self._question.after_failure}"
        )
        return QueueError(message, error_type="Timeout")
