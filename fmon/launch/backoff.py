"""Temporary refusals of a launch: an overloaded server, or a lack of capacity or quota.

SkyPilot reports both as errors of many classes, some of them only by their text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fmon.launch.limits import DispatchLimits
    from fmon.sky.submit.submitter import Outcome

Refusal = Literal["overload", "capacity", "away", "final"]

AWAY = frozenset(
    {
        *("ApiServerConnectionError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout"),
        *("ApiServerAuthenticationError", "AuthRequired"),
    }
)
"""Errors that the next launch would get too, however long it waits: it is not sent."""

OVERLOAD = frozenset(
    {
        *("HTTP429", "HTTP503", "ServerTemporarilyUnavailableError", "ConcurrentWorkerExhaustedError"),
        *("ExecutionPoolFullError", "OperationalError", "KubeAPIUnreachableError", "NetworkError"),
        # The jobs controller is starting, or can't be reached yet.
        *("ClusterNotUpError", "CachedClusterUnavailable", "ClusterStatusFetchingError"),
        *("FetchClusterInfoError", "SkyletUnavailableError"),
    }
)
OVERLOAD_TEXT = re.compile(
    r"too many requests|rate.?limit|database is locked|deadlock detected|connection pool"
    r"|QueuePool limit|worker limit|temporarily unavailable|shutting down|(?:try again|retry) later"
    r"|HTTP (?:429|503)\b",
    re.IGNORECASE,
)

CAPACITY = frozenset({"ResourcesUnavailableError", "ManagedJobReachedMaxRetriesError"})
CAPACITY_TEXT = re.compile(
    r"quota|insufficient.{0,20}capacity|out of (?:capacity|stock)|stock.?out|resource.?pool.?exhausted"
    r"|limit.?exceeded",
    re.IGNORECASE,
)
INFEASIBLE_TEXT = re.compile(r"catalog does not contain|no resource satisfying", re.IGNORECASE)
"""No machine of this kind exists: waiting does not help."""

MAX_PAUSE_S = 300.0
"""Longest pause after a refusal, unless the first one is longer [s]."""


def refusal_of(outcome: Outcome) -> Refusal:
    """Return what a launch without a job was refused for."""
    return refusal(outcome.error_type or "", outcome.error or "")


def refusal(error_type: str, text: str) -> Refusal:
    """Return what an error of SkyPilot means for the request.

    Returns
    -------
    str
        ``overload``: the same request may be accepted in a moment; ``capacity``: in minutes or days;
        ``away``: no server answers; ``final``: only after a change.
    """
    if error_type in AWAY:
        return "away"
    if error_type in OVERLOAD or OVERLOAD_TEXT.search(text):
        return "overload"
    if INFEASIBLE_TEXT.search(text):
        return "final"
    return "capacity" if error_type in CAPACITY or CAPACITY_TEXT.search(text) else "final"


@dataclass
class Backoff:
    """The pauses after refusals of an overloaded server; launches sent at the same time count as one.

    Attributes
    ----------
    count
        Refusals in a row.
    refused_at
        Monotonic time of the newest one that was counted [s].
    """

    limits: DispatchLimits
    count: int = 0
    refused_at: float = 0.0

    def accepted(self) -> None:
        """Note that the server accepts launches again."""
        self.count = 0

    def refused(self, *, sent_at: float, at: float) -> float:
        """Note a refusal and return how long to send nothing [s].

        Parameters
        ----------
        sent_at, at
            Monotonic times of the launch and of its refusal [s].
        """
        if not self.count or sent_at > self.refused_at:
            self.count += 1
            self.refused_at = at
        first = self.limits.backoff_s
        return min(first * 2.0 ** (self.count - 1), max(first, MAX_PAUSE_S))

    @property
    def is_used_up(self) -> bool:
        """Whether there were more refusals in a row than retries."""
        return self.count > self.limits.retries
