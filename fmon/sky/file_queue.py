"""Read the queue from a file with the output of ``sky jobs queue -a -o json``.

Such a file lacks start_at, region, failure_reason and metadata, which stay unknown. The time of the poll is
``polled_at`` in the file, as in a recording, otherwise the time at which the file was last modified: whatever
writes it may have stopped long ago. Only what comes through a pipe is as new as its reading.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import IO, TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.sky.protocol import one_line
from fmon.sky.reader import Answer
from fmon.sky.record import parse_records, specs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from fmon.sky.reader import JobSpec

MAX_BYTES = 256 << 20
MAX_TRIES = 100
"""Maximum number of lines before the JSON that begin like JSON, such as a spinner or a log line."""


_CUT = object()
_NULL = re.compile(r"null\s*(\n|$)")
_BEGINS = re.compile(r'(\[\s*)?\{\s*"')


class FileQueue:
    """A JSON array of queue records, or ``{"jobs": [...]}``, in a file or on standard input."""

    def __init__(self, path: str) -> None:
        self.name = f"file:{path}"
        self._path = path
        self._raw: list[Any] | None = None

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the file once; see ``QueueReader.read``."""
        started = time.monotonic()
        text, modified_at = self._text()
        if while_waiting is not None:
            while_waiting()
        self._raw, own_time = self._jobs(text)
        records, bad = parse_records(self._raw)
        latency_s = time.monotonic() - started
        polled_at = min(own_time or modified_at, datetime.now(UTC))
        return Answer(polled_at=polled_at, records=records, bad=bad, latency_s=latency_s)

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Return the specs in the records that were read last; see ``SpecReader.read_specs``."""
        raw = self._jobs(self._text()[0])[0] if self._raw is None else self._raw
        return {job_id: spec for job_id, spec in specs_of(raw).items() if job_id in job_ids}

    def _text(self) -> tuple[str, datetime]:
        """Read at most MAX_BYTES; with the time at which the file was last modified."""
        try:
            if self._path == "-":
                modified_at = _modified_at(sys.stdin.buffer)
                data = sys.stdin.buffer.read(MAX_BYTES + 1)
            else:
                with Path(self._path).open("rb") as file:
                    modified_at = _modified_at(file)
                    data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or fault
            raise self._error(f"can't be read ({reason})", "NoFile") from fault
        if len(data) > MAX_BYTES:
            raise self._error(f"is larger than {MAX_BYTES >> 20} MB", "BadAnswer")
        if not data.strip():
            raise self._error("is empty; an empty queue is written as []", "BadAnswer")
        return data.decode("utf-8-sig", "replace"), modified_at

    def _jobs(self, text: str) -> tuple[list[Any], datetime | None]:
        """Find the only list of records among any other output, and its own time; None = it has none."""
        found = [value for value in _values(text) if _is_answer(value)]
        whole = [value for value in found if value is not _CUT]
        if len(whole) > 1 or (whole and len(found) > 1):
            what = "contains more than one JSON value, so the newest is unknown; overwrite the file"
            raise self._error(f"{what} each time (> instead of >>)", "BadAnswer")
        for value in found:
            if value is _CUT:
                raise self._error("is cut off in the middle of its JSON", "BadAnswer")
            if isinstance(value, dict) and isinstance(value.get("jobs"), list):
                return list(value["jobs"]), self._own_time(value.get("polled_at"))
            if isinstance(value, dict) and value.get("error"):
                error = value["error"]
                named = error if isinstance(error, dict) else {"type": "QueueError", "message": error}
                error_type = one_line(str(named.get("type", "QueueError")))
                raise self._error(f"contains an error: {one_line(str(named.get('message')))}", error_type)
            if isinstance(value, list):
                return value, None
        raise self._error("contains no JSON array of jobs", "BadAnswer")

    def _own_time(self, value: Any) -> datetime | None:
        """Read ``polled_at`` of a file."""
        if value is None:
            return None
        try:
            time = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self._error(
                f"has a polled_at that is not an ISO 8601 time: {value!r}", "BadAnswer"
            ) from None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

    def _error(self, what: str, error_type: str) -> QueueError:
        where = "standard input" if self._path == "-" else self._path
        message = f"{where} {what}; write it with `sky jobs queue -a -o json`"
        return QueueError(message, error_type=error_type)


def _is_answer(value: Any) -> bool:
    """Return whether a JSON value is what a queue may answer: jobs, one job, nothing, or an error."""
    if isinstance(value, dict):
        return isinstance(value.get("jobs"), list) or "job_id" in value or bool(value.get("error"))
    return (
        value is None
        or value is _CUT
        or (isinstance(value, list) and all(isinstance(item, dict) for item in value))
    )


def _modified_at(file: IO[bytes]) -> datetime:
    """Return when an open file was last modified; for a pipe or a terminal the current time."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError):
        return datetime.now(UTC)
    return datetime.fromtimestamp(found.st_mtime, UTC) if S_ISREG(found.st_mode) else datetime.now(UTC)


def _values(text: str) -> Iterator[Any]:
    """Yield every JSON array or object that begins at the start of a line or after another one, and any null.

    ``_CUT`` stands for an array of objects, or an object, that does not end.
    """
    decoder = json.JSONDecoder()
    position, tries = 0, 0
    while position < len(text) and tries < MAX_TRIES:
        if text[position] in "[{":
            tries += 1
            try:
                value, position = decoder.raw_decode(text, position)
            except (ValueError, RecursionError):
                if _BEGINS.match(text, position):
                    yield _CUT
            else:
                yield value
                while position < len(text) and text[position] in " \t\r,;":
                    position += 1
                if text[position : position + 1] in ("[", "{"):
                    continue
        elif _NULL.match(text, position):
            yield None
        position = text.find("\n", position) + 1 or len(text)
        while position < len(text) and text[position] in " \t\r":
            position += 1
