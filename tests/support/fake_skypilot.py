"""A fake SkyPilot with a clock of its own: requests in flight, jobs, and all that goes wrong on the way.

``FakeSkyPilot`` is the server, ``FakeSubmitter`` a client that launches, ``SkyPilotQueue`` one that reads.
``tests/e2e/test_contract_submit.py`` holds what is right in it against the real ones.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import yaml

from fmon.clock import Clock
from fmon.errors import QueueError
from fmon.sky.reader import Answer, JobSpec
from fmon.sky.record import parse_records
from fmon.sky.submit.submitter import InFlight, Outcome, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

START = datetime(2026, 3, 22, 5, 0, tzinfo=UTC)
CANCEL_S = 15.0


@dataclass(frozen=True)
class Fate:
    """What becomes of one launch.

    Attributes
    ----------
    arrives_s : when the server takes it, after it was sent; None = it never arrives
    takes_s : how long the server works on it
    makes : "job"; "refusal": the server says no; "both": it makes the job and then fails;
        "late job": the server restarts, forgets the request, and ``late_s`` after that the job is there;
        "nothing": the server restarts and forgets it
    answer_s : when the client hears, after it was sent, that the connection broke; None = it hears the answer
    is_away : nobody listens: the client hears at once that it was not sent
    error_type, error : what the server says if it makes no job, or fails after it
    """

    arrives_s: float | None = 0.1
    takes_s: float = 2.0
    makes: str = "job"
    answer_s: float | None = None
    late_s: float = 0.0
    is_away: bool = False
    error_type: str = "ValueError"
    error: str = "no"


FINE = Fate()
OVERLOADED = Fate(takes_s=1.0, makes="refusal", error_type="OperationalError", error="database is locked")
NO_QUOTA = Fate(takes_s=1.0, makes="refusal", error_type="ResourcesUnavailableError", error="no quota for L4")


@dataclass
class Request:
    """A launch that the server works on."""

    request_id: str
    tags: dict[str, Any]
    job_name: str
    task_yaml: str
    is_hidden: bool = False


@dataclass
class FakeSkyPilot:
    """The server. ``jobs`` are queue records; time passes only by ``pass_time``."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    in_flight: dict[str, Request] = field(default_factory=dict)
    now_s: float = 0.0
    is_queue_away: Callable[[], bool] = lambda: False
    is_list_away: Callable[[], bool] = lambda: False
    keeps_metadata: bool = True
    latency_s: Callable[[], float] = lambda: 0.5
    tags: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of each job, whether or not the queue shows them."""
    user_yamls: dict[int, str] = field(default_factory=dict)
    """Task YAMLs as they were submitted, by job."""
    ids: Any = field(default_factory=lambda: count(1))
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: Any = field(default_factory=count)

    def copy(self) -> FakeSkyPilot:
        """Make a second one that has come as far; nothing may be under way."""
        assert not self._due, "what is under way can't be copied"
        return FakeSkyPilot(
            jobs=[dict(job) for job in self.jobs],
            tags=dict(self.tags),
            user_yamls=dict(self.user_yamls),
            now_s=self.now_s,
            ids=count(max(self.tags, default=0) + 1),
        )

    def at(self, when_s: float, do: Callable[[], None]) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._due, (when_s, next(self._order), do))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and happen what is due."""
        until = self.now_s + max(0.0, seconds)
        while self._due and self._due[0][0] <= until:
            when_s, _, do = heapq.heappop(self._due)
            self.now_s = max(self.now_s, when_s)
            do()
        self.now_s = until

    @property
    def next_s(self) -> float:
        """Give the time at which something happens next."""
        return self._due[0][0] if self._due else float("inf")

    def monotonic(self) -> float:
        """Give the time [s]."""
        return self.now_s

    def clock(self) -> datetime:
        """Give the time [UTC]."""
        return START + timedelta(seconds=self.now_s)

    @property
    def time(self) -> Clock:
        """The clock as the phases are given it."""
        return Clock(now=self.clock, sleep=self.pass_time, monotonic=self.monotonic)

    def take(self, task_yaml: str, job_name: str, fate: Fate, answer: Callable[[int | str], None]) -> None:
        """Take a launch; ``answer`` is told the job id, or why there is none."""
        document = next(each for each in yaml.safe_load_all(task_yaml) if "_metadata" in each)
        request = Request(f"r{next(self._order)}", document["_metadata"]["fmon"], job_name, task_yaml)
        self.in_flight[request.request_id] = request
        self.at(self.now_s + fate.takes_s, lambda: self._end(request, fate, answer))

    def add(self, job_name: str, tags: dict[str, Any] | None = None, status: str = "PENDING") -> int:
        """Put a job into the queue."""
        job_id: int = next(self.ids)
        record = {"job_id": job_id, "task_id": 0, "job_name": job_name, "status": status}
        record |= {"submitted_at": self.clock().timestamp(), "resources": "1x[L4:1]"}
        self.tags[job_id] = tags or {}
        if tags and self.keeps_metadata:
            record["metadata"] = {"fmon": tags}
        self.jobs.append(record)
        return job_id

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Cancel jobs that have not ended; it takes its time."""
        for job in self.jobs:
            if job["job_id"] in job_ids and job["status"] in ("PENDING", "STARTING", "RUNNING"):
                job["status"] = "CANCELLING"
                self.at(self.now_s + CANCEL_S, lambda job=job: job.update(status="CANCELLED"))

    def _end(self, request: Request, fate: Fate, answer: Callable[[int | str], None]) -> None:
        del self.in_flight[request.request_id]
        if fate.makes == "late job":
            self.at(self.now_s + fate.late_s, lambda: self._make(request) and None)
        if fate.makes in ("job", "both"):
            job_id = self._make(request)
        answer(job_id if fate.makes == "job" else fate.error_type)

    def _make(self, request: Request) -> int:
        job_id = self.add(request.job_name, request.tags)
        self.user_yamls[job_id] = request.task_yaml
        return job_id


class SkyPilotQueue:
    """Reads the fake's queue."""

    name = "sky"

    def __init__(self, server: FakeSkyPilot) -> None:
        self.server = server

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Look at the queue."""
        self.server.pass_time(self.server.latency_s())
        if while_waiting:
            while_waiting()
        if self.server.is_queue_away():
            raise QueueError("the queue is away", error_type="Timeout")
        records, bad = parse_records(self.server.jobs)
        return Answer(polled_at=self.server.clock(), records=records, bad=bad, latency_s=0.5)

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Give the task YAMLs as they were submitted."""
        return {job_id: JobSpec(self.server.user_yamls.get(job_id), None) for job_id in job_ids}


class FakeSubmitter:
    """Launches on the fake; ``fate`` says for each launch what becomes of it."""

    def __init__(
        self, server: FakeSkyPilot, fate: Callable[[Submission], Fate] = lambda submission: FINE
    ) -> None:
        self.server = server
        self.fate = fate
        self.submitted: list[Submission] = []
        self.cancelled: list[int] = []
        self.is_closed = False
        self.lost: set[str] = set()
        """Launches that had been handed over and never left."""
        self._outcomes: list[Outcome] = []
        self._unsent: dict[str, float] = {}
        self._unheard: set[str] = set()

    def parse(self, task_yaml: str) -> int:
        """Count the tasks of a task YAML."""
        return sum("run" in each for each in yaml.safe_load_all(task_yaml))

    def submit(self, submission: Submission) -> None:
        """Send a launch on its way."""
        self.submitted.append(submission)
        key, fate, now_s = submission.attempt_key, self.fate(submission), self.server.now_s
        answered: list[Outcome] = []

        self._unheard.add(key)

        def hear(outcome: Outcome) -> None:
            if not answered and key in self._unheard:
                self._unheard.remove(key)
                answered.append(outcome)
                self._outcomes.append(outcome)

        def answer(said: int | str) -> None:
            if isinstance(said, int):
                hear(Outcome(attempt_key=key, job_id=said))
            else:
                hear(
                    Outcome(
                        attempt_key=key,
                        error_type=said,
                        error=fate.error,
                        is_uncertain="late" in fate.makes,
                    )
                )

        if fate.is_away:
            away = Outcome(attempt_key=key, error_type="ApiServerConnectionError", error="nobody listens")
            self.server.at(now_s + 0.1, lambda: hear(away))
            return
        if fate.answer_s is not None:
            lost = Outcome(attempt_key=key, error_type="ReadTimeout", error="cut off", is_uncertain=True)
            self.server.at(now_s + fate.answer_s, lambda: hear(lost))
        if fate.arrives_s is not None:
            self._unsent[key] = now_s + fate.arrives_s

            def arrive() -> None:
                if key not in self.lost:
                    self.server.take(submission.task_yaml, submission.job_name, fate, answer)

            self.server.at(now_s + fate.arrives_s, arrive)

    def outcome(self, *, timeout_s: float) -> Outcome | None:
        """Wait for the next outcome."""
        until = self.server.now_s + timeout_s
        while not self._outcomes and self.server.now_s < until:
            self.server.pass_time(min(self.server.next_s, until) - self.server.now_s)
        return self._outcomes.pop(0) if self._outcomes else None

    def in_flight(self) -> list[InFlight]:
        """List the launches that the server works on."""
        self.server.pass_time(self.server.latency_s())
        if self.server.is_list_away():
            raise QueueError("the request list is away", error_type="Timeout")
        return [
            InFlight(request_id=each.request_id, is_readable=False)
            if each.is_hidden
            else InFlight(
                request_id=each.request_id,
                job_name=each.job_name,
                experiment_id=each.tags["experiment"],
                condition_id=each.tags["condition"],
                cycle=each.tags["cycle"],
            )
            for each in self.server.in_flight.values()
        ]

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Cancel jobs."""
        self.cancelled.extend(job_ids)
        self.server.cancel(job_ids)

    def die(self, is_lost: Callable[[], bool]) -> None:
        """Be killed: what has not arrived may never do so."""
        unsent = [key for key, at_s in self._unsent.items() if at_s > self.server.now_s]
        self.lost.update(key for key in unsent if is_lost())
        self.is_closed = True

    def close(self) -> None:
        """End it; what was sent goes on, and nobody hears of it."""
        self.is_closed = True
        for key in sorted(self._unheard):
            self._outcomes.append(
                Outcome(attempt_key=key, error_type="WorkerFailed", error="ended", is_uncertain=True)
            )
        self._unheard.clear()
