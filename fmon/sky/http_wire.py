"""HTTP connections, headers, bodies and network errors.

Uses the client of the standard library: urllib3 and requests would double the start-up time of a poll.
"""

from __future__ import annotations

import os
import ssl
import zlib
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fmon.errors import QueueError
from fmon.sky.protocol import REQUEST_ID, one_line

if TYPE_CHECKING:
    from http.client import HTTPResponse

MAX_BODY_BYTES = 256 << 20
CHUNK_BYTES = 1 << 20


def connect(url: str, timeout_s: float) -> HTTPConnection:
    """Return a connection; it is opened by the first request."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=timeout_s)
    return HTTPConnection(host, parts.port, timeout=timeout_s)


def headers_of(response: HTTPResponse) -> dict[str, str]:
    """Return the headers under the names that SkyPilot documents, whatever their case."""
    known = {name.lower(): name for name in (REQUEST_ID, "X-SkyPilot-API-Version", "Content-Type")}
    return {known.get(name.lower(), name): value for name, value in response.getheaders()}


def body_of(response: HTTPResponse) -> bytes:
    """Read a body to its end; refuse one that is longer than any queue."""
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
        message = (
            f"SkyPilot's API server sent more than {MAX_BODY_BYTES >> 20} MB, which can't be a job queue; "
            "check the endpoint with `sky api info`"
        )
        raise QueueError(message, error_type="BadAnswer")


def refuse_proxy(url: str) -> None:
    """Refuse an endpoint behind a proxy: the SDK, which supports all kinds of proxies, is used instead."""
    scheme = urlsplit(url).scheme
    names = (f"{scheme}_proxy", "all_proxy")
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in names):
        return
    from urllib.request import proxy_bypass  # takes 30 ms, and few use a proxy

    if not proxy_bypass(urlsplit(url).hostname or ""):
        raise QueueError("a proxy is in front of SkyPilot's API server", error_type="ProxyRequired")


def explain(error: BaseException, url: str) -> QueueError:
    """Turn a network error into one sentence; raise any other error, which is a bug of fmon."""
    where = f"SkyPilot's API server at {url}"
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"the certificate of {where} could not be verified ({error.verify_message})"
        return QueueError(message, error_type="CertificateError")
    if isinstance(error, (IncompleteRead, ConnectionResetError, BrokenPipeError)):
        message = f"{where} closed the connection in the middle of its response; it may be restarting"
        return QueueError(message, error_type="ApiServerConnectionError")
    if isinstance(error, (HTTPException, zlib.error, ValueError)):
        what = one_line(repr(error))
        message = f"{url} sent an invalid HTTP response ({what}); check it with `sky api info`"
        return QueueError(message, error_type="BadAnswer")
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        message = f"{where} can't be reached ({reason}); check it with `sky api info`, fmon never starts one"
        return QueueError(message, error_type="ApiServerConnectionError")
    raise error
