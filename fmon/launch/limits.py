"""Rates and timeouts of a dispatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from fmon.model import LaunchLimits


@dataclass(frozen=True, kw_only=True)
class DispatchLimits:
    """Rates and timeouts of a dispatch.

    Attributes
    ----------
    parallel
        Maximum number of launches submitted and not answered.
    per_minute
        Maximum number of launches per minute.
    retries
        Maximum number of retries of an attempt in one run, and of refusals in a row before the run ends.
    backoff_s
        Pause after the first refusal by an overloaded server [s].
    poll_s
        Time between two polls for uncertain launches [s].
    grace_s
        Time that an uncertain launch must be in neither list before it is launched again [s]; longer than
        a proxy may hold back a request (60 s by default).
    patience_s
        Time without any change after which a launch without an outcome is uncertain, and uncertain
        launches are left to the next run [s].
    """

    parallel: int
    per_minute: float
    retries: int
    backoff_s: float
    poll_s: float = 10.0
    grace_s: float = 120.0
    patience_s: float = 900.0

    @classmethod
    def of(cls, launch: LaunchLimits) -> Self:
        """Return the limits that a config sets."""
        return cls(
            parallel=launch.parallel,
            per_minute=launch.per_minute,
            retries=launch.retries,
            backoff_s=launch.backoff_s,
        )
