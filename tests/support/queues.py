"""A scripted queue and scripted logs, and records of jobs to feed them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fmon.errors import QueueError
from fmon.sky.reader import Answer, JobSpec, LogRequest
from fmon.sky.record import parse_records, specs_of

START = datetime(2026, 3, 22, 5, 0, tzinfo=UTC)

NAMES = ["dynunet-dice_ce", "dynunet-dice_ce_cldice", "sam3-dice_ce", "sam3-dice_ce_cldice"]
"""The names of the jobs of ``world.CONFIG``."""


def job(
    job_id: int, name: str, status: str = "RUNNING", *, minutes: float = 0, **fields: Any
) -> dict[str, Any]:
    """Make a queue record as SkyPilot gives it; submitted ``minutes`` after START."""
    submitted = START.timestamp() + 60 * minutes
    record = {"job_id": job_id, "task_id": 0, "job_name": name, "status": status, "submitted_at": submitted}
    return {**record, "resources": "1x[L4:1]", **fields}


RUNNING = [job(number, name, start_at=START.timestamp() + 60) for number, name in enumerate(NAMES, start=1)]
"""All jobs of ``world.CONFIG``, running since a minute after START."""


def ended(
    record: dict[str, Any], status: str = "SUCCEEDED", *, minutes: float = 30, **fields: Any
) -> dict[str, Any]:
    """Make the record of a job that has ended ``minutes`` after START."""
    return {**record, "status": status, "end_at": START.timestamp() + 60 * minutes, **fields}


class FakeQueue:
    """Plays polls one after another; the last one again and again."""

    name = "sky"

    def __init__(
        self,
        *polls: Iterable[dict[str, Any]] | QueueError,
        minutes: float = 1,
        server: str | None = None,
        server_id: str | None = None,
        start: datetime = START,
    ) -> None:
        self.polls = list(polls)
        self.server, self.server_id = server, server_id
        self.start = start
        self.step = timedelta(minutes=minutes)
        self.read_count = 0
        self.specs_error: QueueError | None = None
        self.asked: list[list[int]] = []
        """The jobs whose specs it was asked for."""

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Answer with the next poll."""
        if while_waiting:
            while_waiting()
        poll = self.polls[min(self.read_count, len(self.polls) - 1)]
        polled_at = self.start + self.step * self.read_count
        self.read_count += 1
        if isinstance(poll, QueueError):
            raise poll
        records, bad = parse_records(list(poll))
        return Answer(
            polled_at=polled_at,
            records=records,
            bad=bad,
            latency_s=0.1,
            server=self.server,
            server_id=self.server_id,
        )

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Answer with what the records of the last poll have."""
        self.asked.append(sorted(job_ids))
        if self.specs_error:
            raise self.specs_error
        poll = self.polls[min(max(self.read_count - 1, 0), len(self.polls) - 1)]
        assert not isinstance(poll, QueueError)
        return {job_id: spec for job_id, spec in specs_of(poll).items() if job_id in job_ids}


class FakeLogs:
    """Gives the logs in ``texts``, of others an empty one; remembers what it was asked."""

    name = "sky"

    def __init__(self, texts: dict[LogRequest, str | bytes | QueueError] | None = None) -> None:
        self.texts = texts or {}
        self.asked: list[LogRequest] = []

    def read(
        self, asks: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Answer all at once."""
        for ask in asks:
            self.asked.append(ask)
            text = self.texts.get(ask, "")
            yield ask, text.encode() if isinstance(text, str) else text

    def stream(
        self, ask: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Give a log in one piece."""
        ((_, text),) = self.read([ask], timeout_s=0)
        if isinstance(text, QueueError):
            raise text
        yield text
