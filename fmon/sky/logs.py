"""The logs of jobs, wherever they are read from (floor 4).

A ``LogReader`` can read and nothing else, as a ``QueueReader``. What it gives is raw: SkyPilot's
prefixes, ANSI codes and secrets are still in it, so it goes through ``cleaned`` before it is shown or stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from fmon.errors import QueueError
from fmon.redact import redact
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class LogMissingError(QueueError):
    """There is no such log, and asking again will not bring it."""


class LogAsk(NamedTuple):
    """One log: what a job printed, or what its controller did for it (provisioning, recovery)."""

    job_id: int
    is_controller: bool = False


class LogReader(Protocol):
    """Reads logs of managed jobs; ``name`` is where: sky, file:PATH, recording."""

    name: str

    def read(
        self, asks: Sequence[LogAsk], *, timeout_s: float
    ) -> Iterator[tuple[LogAsk, bytes | QueueError]]:
        """Read logs as far as they are written, without following, one after the other.

        Parameters
        ----------
        asks : the logs; each is answered once, in this order
        timeout_s : after this the rest is answered with a Timeout [s]

        Yields
        ------
        LogAsk, bytes or QueueError
            The raw log (of a long one head and tail, with the cut marked), or why it can't be had:
            LogMissingError where asking again is no use, else a QueueError.
        """
        ...


TIMEOUT_S = 120.0


def job_log(job_id: int, *, controller: bool = False) -> str:
    """Give a job's log as far as it is written, without following it.

    Parameters
    ----------
    job_id : the managed job
    controller : its controller's log instead, which tells of provisioning and recovery

    Returns
    -------
    str
        Raw text, ANSI codes and SkyPilot's prefixes included, secrets redacted. Of a long log the
        first 256 K and the last 1 M characters, with the cut marked.

    Raises
    ------
    QueueError
        There is no log to be had: no such job, no server, or out of time.
    """
    text = ask_worker("log", str(job_id), *(["controller"] if controller else []), timeout_s=TIMEOUT_S)
    if not isinstance(text, str):
        raise QueueError(f"job {job_id} has no log", error_type="BadAnswer")
    return redact(text)
