"""Read the queue from a file with the output of ``sky jobs queue -a -o json``.

Such a file lacks start_at, region, failure_reason and metadata, which stay unknown. It has no time
either, so the time of the poll is the moment when the file is read.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


class FileQueue:
    """A JSON array of queue records, or ``{"jobs": [...]}``, in a file or on standard input."""

    def __init__(self, path: str) -> None:
        self.name = f"file:{path}"
        self._path = path
        self._raw: list[Any] | None = None

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the file once; see ``QueueReader.read``."""
        started = time.monotonic()
        text = self._text()
        if while_waiting is not None:
            while_waiting()
        self._raw = raw = self._jobs(text)
        records, bad = parse_records(raw)
        latency_s = time.monotonic() - started
        return Answer(polled_at=datetime.now(UTC), records=records, bad=bad, latency_s=latency_s)

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Return the specs in the records that were read last; see ``SpecReader.read_specs``."""
        raw = self._jobs(self._text()) if self._raw is None else self._raw
        return {job_id: spec for job_id, spec in specs_of(raw).items() if job_id in job_ids}

    def _text(self) -> str:
        """Read at most MAX_BYTES."""
        try:
            if self._path == "-":
                data = sys.stdin.buffer.read(MAX_BYTES + 1)
            else:
                with Path(self._path).open("rb") as file:
                    data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or fault
            raise self._error(f"can't be read ({reason})", "NoFile") from fault
        if len(data) > MAX_BYTES:
            raise self._error(f"is larger than {MAX_BYTES >> 20} MB", "BadAnswer")
        if not data.strip():
            raise self._error("is empty; an empty queue is written as []", "BadAnswer")
        return data.decode("utf-8-sig", "replace")

    def _jobs(self, text: str) -> list[Any]:
        """Find the list of records, after any other output."""
        for value in _values(text):
            if isinstance(value, dict) and isinstance(value.get("jobs"), list):
                return list(value["jobs"])
            if isinstance(value, dict) and value.get("error"):
                error = value["error"]
                named = error if isinstance(error, dict) else {"type": "QueueError", "message": error}
                error_type = one_line(str(named.get("type", "QueueError")))
                raise self._error(f"contains an error: {one_line(str(named.get('message')))}", error_type)
            if isinstance(value, list) and all(isinstance(item, dict) for item in value):
                return value
        raise self._error("contains no JSON array of jobs", "BadAnswer")

    def _error(self, what: str, error_type: str) -> QueueError:
        where = "standard input" if self._path == "-" else self._path
        message = f"{where} {what}; write it with `sky jobs queue -a -o json`"
        return QueueError(message, error_type=error_type)


def _values(text: str) -> Iterator[Any]:
    """Yield every JSON array or object that begins at the start of a line."""
    decoder = json.JSONDecoder()
    position, tries = 0, 0
    while position < len(text) and tries < MAX_TRIES:
        if text[position] in "[{":
            tries += 1
            try:
                value, position = decoder.raw_decode(text, position)
            except (ValueError, RecursionError):
                pass
            else:
                yield value
        position = text.find("\n", position) + 1 or len(text)
        while position < len(text) and text[position] in " \t\r":
            position += 1
