"""What SkyPilot's API server is asked, and what its answers mean.

These paths are SkyPilot's own, not documented for others: tests/e2e holds
each fact used here against a real server. ``object``, ``request_body`` and ``entrypoint`` of an
answer are pickles and are never opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fmon.errors import QueueError
from fmon.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.sky.endpoint import Endpoint

API_VERSION = 62
VERSION = "0.14.1"
"""The SkyPilot whose API this is. A server looks at both headers or at none."""

QUEUE_PATH = "/jobs/queue/v2"
COSTS_PATH = "/cost_report"
LOGS_PATH = "/jobs/logs"
GET_PATH = "/api/get?request_id="
REQUEST_ID = "X-SkyPilot-Request-ID"

FIELDS = (
    "job_id", "task_id", "job_name", "task_name", "status",
    "submitted_at", "start_at", "end_at", "last_recovered_at", "job_duration", "recovery_count",
    "details", "failure_reason", "resources", "cluster_resources",
    "cloud", "region", "zone", "infra", "user_name", "user_hash", "workspace", "metadata",
)  # fmt: skip
"""What ``record`` reads. Not ``user_yaml``: the server reads a file per job for it."""

MAX_TEXT = 500


def request_headers(endpoint: Endpoint) -> dict[str, str]:
    """Give the headers of every request."""
    return {
        "X-SkyPilot-API-Version": str(API_VERSION),
        "X-SkyPilot-Version": VERSION,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        **endpoint.headers,
    }


def queue_body(endpoint: Endpoint) -> bytes:
    """Ask for all jobs of all users, without a limit; refreshing would start a stopped controller."""
    return _body(endpoint, {"refresh": False, "all_users": True, "fields": FIELDS})


def costs_body(endpoint: Endpoint, *, days: int) -> bytes:
    """Ask for the costs of all clusters that were used in the last days."""
    return _body(endpoint, {"days": days})


def logs_body(endpoint: Endpoint, job_id: int, *, controller: bool, tail: int | None = None) -> bytes:
    """Ask for a log as far as it is written; ``tail`` = its last lines only."""
    question = {
        "job_id": job_id, "controller": controller, "follow": False, "refresh": False, "tail": tail
    }  # fmt: skip
    return _body(endpoint, question)


def _body(endpoint: Endpoint, question: dict[str, Any]) -> bytes:
    """Say who asks, and in which workspace."""
    body = dict(question)
    if endpoint.identity:
        body["env_vars"] = endpoint.identity  # an empty one is an error on the server, none at all is not
    if endpoint.workspace:
        body["override_skypilot_config"] = {"active_workspace": endpoint.workspace}
    return msgspec.json.encode(body)


def jobs_of(body: bytes) -> list[Any]:
    """Take the raw records out of what ``/api/get`` answered.

    Raises
    ------
    QueueError
        BadAnswer: it is not the shape that SkyPilot 0.14 has, or not all of the queue.
    """
    try:
        value = _loads(_loads(body)["return_value"])
        jobs = value["jobs"] if isinstance(value, dict) else value
    except (ValueError, KeyError, TypeError) as fault:
        raise _bad_answer(
            f"its answer to the queue request has another shape ({type(fault).__name__})"
        ) from fault
    if not isinstance(jobs, list):
        raise _bad_answer(f"its answer holds {type(jobs).__name__} where the list of jobs should be")
    total = value.get("total") if isinstance(value, dict) else None
    if isinstance(total, int) and len(jobs) < total:
        raise _bad_answer(f"it gave {len(jobs)} records of {total} jobs")
    return jobs


def return_value_of(body: bytes) -> Any:
    """Decode the result of a request: JSON within JSON.

    Raises
    ------
    QueueError
        BadAnswer: it is none.
    """
    try:
        return _loads(_loads(body)["return_value"])
    except (ValueError, KeyError, TypeError) as fault:
        what = f"its answer has another shape ({type(fault).__name__})"
        raise _bad_answer(what) from fault


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> QueueError:
    """Turn an answer that is not 200 into a failed poll: one sentence and a type."""
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
        said = f"HTTP {status}: {text}" if text else f"HTTP {status}"
        message = f"SkyPilot's API server requires login ({said}); run `sky api login`"
        return QueueError(message, error_type="AuthRequired")
    if status in (404, 405, 422):
        version = headers.get("X-SkyPilot-API-Version", "unknown")
        message = f"SkyPilot's API server (API version {version}) does not know this request (HTTP {status})"
        return QueueError(message, error_type="VersionMismatch")
    return QueueError(
        f"SkyPilot's API server answered HTTP {status}: {text or 'no text'}", error_type=f"HTTP{status}"
    )


def require_json(headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a login page that came with status 200."""
    if is_page(headers) or body.lstrip()[:1] == b"<":
        message = (
            "a web page answered instead of SkyPilot's API server, probably a login; run `sky api login`"
        )
        raise QueueError(message, error_type="AuthRequired")


def is_page(headers: Mapping[str, str]) -> bool:
    """Tell whether a web page answered."""
    return "html" in headers.get("Content-Type", "").lower()


def one_line(text: str) -> str:
    """Make foreign text fit into a sentence: redacted, one line, bounded."""
    text = " ".join(redact(text[: 8 * MAX_TEXT]).split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 4] + " ..."


def _bad_answer(what: str) -> QueueError:
    message = f"SkyPilot's API server does not speak as version {VERSION} does: {what}"
    return QueueError(message, error_type="BadAnswer")


def _loads(text: bytes | str) -> Any:
    """Decode JSON; half of a surrogate pair in one job's text must not cost the whole answer."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        import json

        return json.loads(text)


def _named_error(body: bytes) -> tuple[str, str] | None:
    """Read ``detail.error``, a JSON string {object, type, message}; None if there is none."""
    try:
        error = _loads(_loads(body)["detail"]["error"])
        error_type = one_line(str(error["type"])).partition(" ")[0][:100]
        return error_type or "ServerError", one_line(str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return None


def _plain(body: bytes, headers: Mapping[str, str]) -> str:
    """Give the words of an answer: its detail or message, else its text; nothing of a web page."""
    try:
        value = _loads(body)
    except ValueError:
        return "" if is_page(headers) else one_line(body[: 8 * MAX_TEXT].decode("utf-8", "replace"))
    if isinstance(value, dict):
        words = [value[key] for key in ("error", "message", "detail") if isinstance(value.get(key), str)]
        return one_line(": ".join(words))
    return ""
