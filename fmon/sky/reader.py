"""What reads the queue and the logs: the protocols, and what goes into them and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fmon.errors import QueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from fmon.model import Record

from typing import TYPE_CHECKING, NamedTuple


class LogMissingError(QueueError):
    """There is no such log, and asking again will not bring it."""


class LogsDownError(QueueError):
    """The source of logs gives none at present: asking it for other logs would be no use now."""


class LogAsk(NamedTuple):
    """One log: what a job printed, or what its controller did for it (provisioning, recovery)."""

    job_id: int
    is_controller: bool = False

    @property
    def file_name(self) -> str:
        """Name its file in a recording; in a store with ``.zst`` behind it."""
        return f"{self.job_id}.controller.log" if self.is_controller else f"{self.job_id}.log"


class LogReader(Protocol):
    """Reads logs of managed jobs; ``name`` is where: sky, file:PATH, recording."""

    name: str

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Read logs as far as they are written, without following, one after the other.

        Parameters
        ----------
        asks
            The logs; each is answered at most once, in this order.
        timeout_s
            What there is no time for [s] is not answered, nor what comes after a LogsDownError.

        Yields
        ------
        LogAsk, bytes or QueueError
            The raw log (of a long one head and tail, with the cut marked), or why it can't be had:
            LogMissingError where asking again is no use, LogsDownError where it holds for all logs and
            is the last answer, else a QueueError.
        """
        ...


SDK_MAY_KNOW = frozenset(
    {"AuthRequired", "BadAnswer", "CertificateError", "ProxyRequired", "VersionMismatch"}
)
"""Failures of plain HTTP that SkyPilot's SDK may overcome: it knows more versions, logins and proxies.

Not among them: a server that is down, slow or failing. A second request would only add to its load.
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one look at the queue saw.

    Attributes
    ----------
    polled_at
        When the answer came [UTC].
    records
        One per job task, all users and experiments.
    bad
        One sentence per record that did not fit and was left out.
    latency_s
        Time the queue took to answer [s].
    """

    polled_at: datetime
    records: list[Record]
    bad: list[str]
    latency_s: float


class QueueReader(Protocol):
    """Reads the job queue. ``name`` is the source in heartbeats: sky, file:PATH."""

    name: str

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Look at the queue once.

        Parameters
        ----------
        while_waiting
            Called once after the question went out, while the server works on its answer; it must not
            raise.

        Raises
        ------
        QueueError
            The queue did not answer, or not with a queue.
        """
        ...
