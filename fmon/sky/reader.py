"""Protocols of the readers of the queue and the logs, with the types they take and return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fmon.errors import QueueError
from fmon.job_key import earlier_count_of, job_id_of, job_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from fmon.model import Record


class LogMissingError(QueueError):
    """There is no such log, and there never will be."""


class LogsDownError(QueueError):
    """The source of logs is unavailable: requests for other logs would fail too."""


class LogRequest(NamedTuple):
    """Identifies one log: that of a job, or that of its controller (provisioning, recovery)."""

    job_id: int
    is_controller: bool = False
    earlier_job_count: int = 0

    @classmethod
    def of(cls, key: int, *, is_controller: bool = False) -> LogRequest:
        """Return the request for a log of the job with a key."""
        return cls(job_id_of(key), is_controller, earlier_count_of(key))

    @property
    def job_key(self) -> int:
        """Identity of the job."""
        return job_key(self.job_id, self.earlier_job_count)

    @property
    def file_name(self) -> str:
        """Name of its file in a recording; in a store, ``.zst`` is appended.

        The log of the second job with the id 7 is ``7.2.log``.
        """
        job = f"{self.job_id}.{self.earlier_job_count + 1}" if self.earlier_job_count else f"{self.job_id}"
        return f"{job}.controller.log" if self.is_controller else f"{job}.log"


class LogReader(Protocol):
    """Reads logs of managed jobs; ``name`` is the source: sky, file:PATH or recording."""

    name: str

    def read(
        self, requests: Sequence[LogRequest], *, timeout_s: float
    ) -> Iterator[tuple[LogRequest, bytes | QueueError]]:
        """Read the logs written so far, one by one, without following them.

        Parameters
        ----------
        requests
            The logs; there is at most one answer for each, in this order.
        timeout_s
            Longest time for all logs [s]; there is no answer for logs after that or after a LogsDownError.

        Yields
        ------
        LogRequest, bytes or QueueError
            The raw log (head and tail of a long one, with the cut marked), or why it is not available:
            LogMissingError if it never will be, LogsDownError if none is, which is the last answer,
            otherwise a QueueError.
        """
        ...


class LogStreamer(Protocol):
    """Reads the log of a managed job while it is written."""

    def stream(
        self, request: LogRequest, *, follow: bool, tail: int | None, timeout_s: float | None
    ) -> Iterator[bytes]:
        """Read a log piece by piece, as it arrives.

        Parameters
        ----------
        request
            The log.
        follow
            Whether to go on until the job has ended, instead of until the end of what is written by now.
        tail
            Number of lines to begin with, from the end; None = all.
        timeout_s
            Longest time [s]; None = no limit.

        Yields
        ------
        bytes
            The next bytes of the raw log; none after each second in which nothing arrived.

        Raises
        ------
        QueueError
            StoppedError if the time is up; otherwise the log is not available, or its stream was interrupted.
        """
        ...


class LiveLogReader(LogReader, LogStreamer, Protocol):
    """Reads logs in both ways."""


SDK_MAY_KNOW = frozenset(
    {"AuthRequired", "BadAnswer", "CertificateError", "ProxyRequired", "VersionMismatch"}
)
"""Errors of plain HTTP that SkyPilot's SDK may not have: it supports more versions, logins and proxies.

A server that is down, slow or failing is not among them: a second request would only add to its load.
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of reading the queue once.

    Attributes
    ----------
    polled_at
        When the queue answered [UTC].
    records
        One per job task, of all users and experiments.
    bad
        One sentence per record that was invalid and left out.
    latency_s
        Time the queue took to answer [s].
    server
        Address of the API server that answered; None = it was not one.
    server_id
        Its id; None = it is not known.
    """

    polled_at: datetime
    records: list[Record]
    bad: list[str]
    latency_s: float
    server: str | None = None
    server_id: str | None = None


@dataclass(frozen=True, repr=False)
class JobSpec:
    """What SkyPilot recorded when a job was submitted; it has no repr, since it may contain secrets.

    Attributes
    ----------
    user_yaml
        The task YAML as it was written; None = not recorded, or not yet.
    entrypoint
        The command line that submitted the job; None = not recorded.
    """

    user_yaml: str | None
    entrypoint: str | None


SPEC_BATCH = 500
"""Maximum number of jobs to ask SkyPilot about in one request: their task YAMLs may be 12 kB each."""


def spec_batches(job_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Divide jobs into those of one request each."""
    return (job_ids[start : start + SPEC_BATCH] for start in range(0, len(job_ids), SPEC_BATCH))


class SpecReader(Protocol):
    """Reads what SkyPilot recorded when jobs were submitted; ``name`` is that of a ``QueueReader``."""

    name: str

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Read the specs of some jobs, which may be thousands of characters each.

        Parameters
        ----------
        job_ids
            The jobs; those that the queue does not list are missing in the answer.

        Raises
        ------
        QueueError
            The queue did not answer, or the answer is invalid.
        """
        ...


class QueueReader(SpecReader, Protocol):
    """Reads the job queue; ``name`` is the source in heartbeats: sky or file:PATH."""

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the queue once.

        Parameters
        ----------
        while_waiting
            Called once after the request was sent, while the server works on it; must not raise.

        Raises
        ------
        QueueError
            The queue did not answer, or the answer is invalid.
        """
        ...
