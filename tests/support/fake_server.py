"""A fake of SkyPilot's API server on a real socket: right answers and all the wrong ones.

``tests/e2e/test_contract_sky.py`` holds its right answers against the real server's.
"""

import gzip
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REQUEST_ID = "d1b3a45e-d9f3-49f5-b929-68efdc45cc3f"
PICKLE = "gASVKQAAAAAAAACMFHNreS5qb2JzLnNlcnZlci5jb3JllIwMcXVldWVfdjJfYXBplJOULg=="
DRIP_S = 0.05


def table(jobs: list[Any], **changed: Any) -> dict[str, Any]:
    """Make the return value of a queue request."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job["status"]] = counts.get(job["status"], 0) + 1
    total = len({job["job_id"] for job in jobs})
    right = {
        "jobs": jobs,
        "total": total,
        "total_no_filter": total,
        "status_counts": counts,
        "infra_options": [],
    }
    return {**right, **changed}


def payload(return_value: Any, *, error: dict[str, str] | None = None, **changed: Any) -> dict[str, Any]:
    """Make what ``/api/get`` answers about a request."""
    return {
        "request_id": REQUEST_ID,
        "name": "sky.jobs.queue_v2",
        "entrypoint": PICKLE,
        "request_body": PICKLE,
        "status": "FAILED" if error else "SUCCEEDED",
        "created_at": 1795468897.06,
        "user_id": "fcd1e5cf",
        "return_value": json.dumps(return_value),
        "error": json.dumps(error),
        "pid": 2806,
        "schedule_type": "short",
        "user_name": None,
        "cluster_name": "sky-jobs-controller-fcd1e5cf",
        "status_msg": None,
        "should_retry": False,
        "finished_at": 1795468906.45,
        "file_mounts_blob_id": None,
        **changed,
    }


def failed(error_type: str, message: str) -> dict[str, Any]:
    """Make the body of the 500 that tells of a failed request."""
    error = {"object": PICKLE, "type": error_type, "message": message}
    return {"detail": payload(None, error=error)}


class Handler(BaseHTTPRequestHandler):
    """Notes each request and lets the server's script answer it."""

    protocol_version = "HTTP/1.1"
    server: "FakeServer"

    def log_message(self, *args: Any) -> None:
        """Keep the tests' output clean."""

    def do_POST(self) -> None:
        """Take a question."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(body)

    def do_GET(self) -> None:
        """Take a wish for an answer."""
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        try:
            if self.path == "/jobs/queue/v2" and self.command == "POST":
                self.server.on_queue(self)
            elif self.path == "/jobs/logs" and self.command == "POST":
                self.server.on_logs(self)
            elif self.path == f"/api/get?request_id={REQUEST_ID}" and self.command == "GET":
                self.server.on_get(self)
            else:
                self.server.on_other(self)
        except OSError:
            self.close_connection = True  # the client has gone

    def send(self, status: int, value: Any, *, kind: str = "application/json", **headers: str) -> None:
        """Answer in one piece; text and bytes as they are, anything else as JSON."""
        body = (
            value
            if isinstance(value, bytes)
            else (value if isinstance(value, str) else json.dumps(value)).encode()
        )
        if headers.get("content_encoding") == "gzip":
            body = gzip.compress(body)
        self.head(status, len(body), kind=kind, **headers)
        self.wfile.write(body)

    def head(self, status: int, length: int, *, kind: str = "application/json", **headers: str) -> None:
        """Send the head of an answer."""
        right = {
            "x-skypilot-api-version": "62",
            "x-skypilot-version": "0.14.1",
            "x-skypilot-request-id": REQUEST_ID,
        }
        self.send_response(status)
        for name, value in {**right, **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(length))
        self.end_headers()

    def stream(self, *chunks: bytes, ends: bool = True) -> None:
        """Answer 200 in chunks, as the server does with a log."""
        self.send_response(200)
        self.send_header("x-skypilot-request-id", REQUEST_ID)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.chunk(chunk)
        if ends:
            self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        """Send one chunk; an empty one is the last."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def drip(self, data: bytes) -> None:
        """Send byte after byte, each well within any socket timeout."""
        for at in range(len(data)):
            if self.server.is_over.wait(DRIP_S):
                return
            self.wfile.write(data[at : at + 1])

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.server.is_over.wait(30)
        self.close_connection = True

    def cut(self) -> None:
        """Close the connection as a killed server does."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


Script = Callable[[Handler], None]


class FakeServer(ThreadingHTTPServer):
    """Answers right unless one of the scripts ``on_...`` is set; ``requests`` has all it was asked."""

    daemon_threads = True
    # Its threads would otherwise be joined while they hang.
    block_on_close = False

    def __init__(self, jobs: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs = jobs
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.is_over = threading.Event()
        self.on_queue: Script = lambda handler: handler.send(200, "null")
        self.on_logs: Script = lambda handler: handler.stream(b"first line\n", b"last line\n")
        self.on_other: Script = lambda handler: handler.send(404, {"detail": "Not Found"})
        self.on_get: Script = lambda handler: handler.send(200, payload(table(self.jobs)))

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def asked(self) -> list[str]:
        """Method and path of each request, in order."""
        return [f"{method} {path.split('?')[0]}" for method, path, _, _ in self.requests]
