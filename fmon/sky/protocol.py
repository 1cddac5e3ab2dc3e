"""Requests to SkyPilot's API server, and how to read its responses.

These paths are internal to SkyPilot and not documented: tests/e2e checks each fact used here against a real
server. ``object``, ``request_body`` and ``entrypoint`` of a response are pickles and are never loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.errors import QueueError
from fmon.redact import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fmon.sky.endpoint import Endpoint

API_VERSION = 62
VERSION = "0.14.1"
"""The SkyPilot version with this API. A server uses both headers or neither."""

QUEUE_PATH = "/jobs/queue/v2"
COSTS_PATH = "/cost_report"
LOGS_PATH = "/jobs/logs"
GET_PATH = "/api/get?request_id="
REQUEST_ID = "X-SkyPilot-Request-ID"

FIELDS = (
    "job_id", "task_id", "job_name", "task_name", "status",
    "submitted_at", "start_at", "end_at", "last_recovered_at", "job_duration", "recovery_count",
    "details", "failure_reason", "resources", "cluster_resources", "schedule_state",
    "cloud", "region", "zone", "infra", "user_name", "user_hash", "workspace", "metadata",
)  # fmt: skip
"""The fields that ``record`` reads. Not ``user_yaml``: it would be most of the answer to every poll."""

SPEC_FIELDS = ("job_id", "user_yaml", "entrypoint")
"""The fields of a ``reader.JobSpec``."""

CONTROLLER = re.compile(r"sky-jobs-controller-(?P<server_id>[A-Za-z0-9-]{1,64})")
MAX_TEXT = 500


def request_headers(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers of every request."""
    return {
        "X-SkyPilot-API-Version": str(API_VERSION),
        "X-SkyPilot-Version": VERSION,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        **endpoint.headers,
    }


def queue_body(endpoint: Endpoint) -> bytes:
    """Return a request for all jobs of all users; refreshing would start a stopped controller."""
    return _body(endpoint, {"refresh": False, "all_users": True, "fields": FIELDS})


def specs_body(endpoint: Endpoint, job_ids: Collection[int]) -> bytes:
    """Return a request for what was recorded when some jobs were submitted."""
    question = {"refresh": False, "all_users": True, "fields": SPEC_FIELDS, "job_ids": sorted(job_ids)}
    return _body(endpoint, question)


def costs_body(endpoint: Endpoint, *, days: int) -> bytes:
    """Return a request for the costs of all clusters that were used in the last days."""
    return _body(endpoint, {"days": days})


def logs_body(
    endpoint: Endpoint, job_id: int, *, controller: bool, tail: int | None = None, follow: bool = False
) -> bytes:
    """Return a request for the log written so far, or until the job ends; ``tail`` = only its last lines."""
    question = {
        "job_id": job_id, "controller": controller, "follow": follow, "refresh": False, "tail": tail
    }  # fmt: skip
    return _body(endpoint, question)


def _body(endpoint: Endpoint, question: dict[str, Any]) -> bytes:
    """Encode the body of a request, with the user and the workspace."""
    body = dict(question)
    if endpoint.identity:
        body["env_vars"] = endpoint.identity  # an empty one is an error on the server, a missing one is not
    if endpoint.workspace:
        body["override_skypilot_config"] = {"active_workspace": endpoint.workspace}
    return msgspec.json.encode(body)


def jobs_of(body: bytes) -> list[Any]:
    """Return the raw records in a response of ``/api/get``.

    Raises
    ------
    QueueError
        BadAnswer: its structure is not that of SkyPilot 0.14, or the queue is incomplete.
    """
    return queue_of(body)[0]


def queue_of(body: bytes) -> tuple[list[Any], str | None]:
    """Return the raw records in a response of ``/api/get``, and the id of the server; None = it has none.

    The server gives the request the name of its jobs controller, which contains its id. The id is the same in
    all its processes and after restarts, since it is in the server's database.

    Raises
    ------
    QueueError
        As ``jobs_of``.
    """
    try:
        payload = _loads(body)
        value = _loads(payload["return_value"])
        named = CONTROLLER.fullmatch(str(payload.get("cluster_name")))
        jobs = value["jobs"] if isinstance(value, dict) else value
    except (ValueError, KeyError, TypeError) as fault:
        raise _bad_answer(
            f"its response to the queue request has an unknown structure ({type(fault).__name__})"
        ) from fault
    if not isinstance(jobs, list):
        raise _bad_answer(f"its response contains {type(jobs).__name__} instead of the list of jobs")
    total = value.get("total") if isinstance(value, dict) else None
    if isinstance(total, int) and len(jobs) < total:
        raise _bad_answer(f"it sent {len(jobs)} of {total} jobs")
    return jobs, named and named["server_id"]


def return_value_of(body: bytes) -> Any:
    """Decode the result of a request: JSON within JSON.

    Raises
    ------
    QueueError
        BadAnswer: it is not a result.
    """
    try:
        return _loads(_loads(body)["return_value"])
    except (ValueError, KeyError, TypeError) as fault:
        what = f"its response has an unknown structure ({type(fault).__name__})"
        raise _bad_answer(what) from fault


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> QueueError:
    """Turn a response with a status other than 200 into an error with one sentence and a type."""
    named = _named_error(body)
    if named is not None:
        error_type, text = named
        return QueueError(f"SkyPilot's API server answered {error_type}: {text}", error_type=error_type)
    text = _plain(body, headers)
    if status == 400 and "version_mismatch" in text:
        return QueueError(
            f"SkyPilot's API server refuses API version {API_VERSION}: {text}", error_type="VersionMismatch"
        )
    if status in (401, 403, 407) or 300 <= status < 400:
        reason = f"HTTP {status}: {text}" if text else f"HTTP {status}"
        message = f"SkyPilot's API server requires login ({reason}); run `sky api login`"
        return QueueError(message, error_type="AuthRequired")
    if status in (404, 405, 422):
        version = headers.get("X-SkyPilot-API-Version", "unknown")
        message = f"SkyPilot's API server (API version {version}) does not know this request (HTTP {status})"
        return QueueError(message, error_type="VersionMismatch")
    return QueueError(
        f"SkyPilot's API server answered HTTP {status}: {text or 'no message'}", error_type=f"HTTP{status}"
    )


def require_json(headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a login page with status 200."""
    if is_page(headers) or body.lstrip()[:1] == b"<":
        message = (
            "the endpoint of SkyPilot's API server sent a web page, probably a login; run `sky api login`"
        )
        raise QueueError(message, error_type="AuthRequired")


def is_page(headers: Mapping[str, str]) -> bool:
    """Return whether the response is a web page."""
    return "html" in headers.get("Content-Type", "").lower()


def one_line(text: str) -> str:
    """Return foreign text for use in a message: redacted, in one line, of limited length."""
    text = " ".join(redact(text[: 8 * MAX_TEXT]).split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 4] + " ..."


def _bad_answer(what: str) -> QueueError:
    message = f"SkyPilot's API server does not behave like version {VERSION}: {what}"
    return QueueError(message, error_type="BadAnswer")


def _loads(text: bytes | str) -> Any:
    """Decode JSON; accept half of a surrogate pair, which the text of a job may contain."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        import json

        return json.loads(text)


def _named_error(body: bytes) -> tuple[str, str] | None:
    """Return type and message of ``detail.error``, a JSON string; None if there is none."""
    try:
        error = _loads(_loads(body)["detail"]["error"])
        error_type = one_line(str(error["type"])).partition(" ")[0][:100]
        return error_type or "ServerError", one_line(str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return None


def _plain(body: bytes, headers: Mapping[str, str]) -> str:
    """Return the message of a response: its detail or message, else its text; nothing of a web page."""
    try:
        value = _loads(body)
    except ValueError:
        return "" if is_page(headers) else one_line(body[: 8 * MAX_TEXT].decode("utf-8", "replace"))
    if isinstance(value, dict):
        words = [value[key] for key in ("error", "message", "detail") if isinstance(value.get(key), str)]
        return one_line(": ".join(words))
    return ""
