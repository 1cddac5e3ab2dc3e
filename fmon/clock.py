"""The clock of the phases: the time of day, sleep, and a monotonic time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock; by default that of this machine.

    Attributes
    ----------
    now
        Returns the time [UTC].
    sleep
        Waits for a number of seconds.
    monotonic
        Returns a time that never steps [s].
    """

    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
