"""The time as the phases see it: of the day, passing by, and one that never steps."""

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
    """A clock; by default this machine's.

    Attributes
    ----------
    now
        Returns the time [UTC].
    sleep
        Waits [s].
    monotonic
        Returns a time that never steps [s].
    """

    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
