"""The meaning of each status of a SkyPilot managed job, defined only here.

The view ``status`` has these rows. A status that is not listed (SkyPilot adds some between releases) is
kept: it is not terminal, counts as running and as billed, and raises an alarm.
"""

from functools import cache
from typing import NamedTuple


class Status(NamedTuple):
    """A row of table ``status``, whose columns are described in ``sql/status.sql``."""

    status: str
    state: str
    step: str
    is_terminal: bool = False
    is_failed: bool = False
    is_billed: bool = False
    is_unstarted: bool = False
    ends_as: str | None = None
    phase: str | None = None


STATUSES = (
    Status("PENDING", "pending", "waiting"),
    Status("SUBMITTED", "pending", "waiting"),
    Status("STARTING", "pending", "starting", is_billed=True, phase="launch"),
    Status("RUNNING", "running", "running", is_billed=True, phase="run"),
    Status("RECOVERING", "running", "running", is_billed=True, phase="recovery"),
    Status("WINDING_DOWN", "running", "running", is_billed=True, phase="run"),
    Status("CANCELLING", "running", "running", is_billed=True, ends_as="CANCELLED"),
    Status("SUCCEEDED", "succeeded", "ended", is_terminal=True),
    Status("CANCELLED", "cancelled", "ended", is_terminal=True, is_unstarted=True),
    Status("FAILED", "failed", "ended", is_terminal=True, is_failed=True),
    Status("FAILED_SETUP", "failed", "failed_setup", is_terminal=True, is_failed=True),
    Status("FAILED_PRECHECKS", "failed", "ended", is_terminal=True, is_failed=True, is_unstarted=True),
    Status("FAILED_NO_RESOURCE", "failed", "ended", is_terminal=True, is_failed=True, is_unstarted=True),
    Status("FAILED_CONTROLLER", "failed", "ended", is_terminal=True, is_failed=True),
)


@cache
def terminal_statuses() -> frozenset[str]:
    """Return the terminal statuses: those of jobs that have ended, as far as SkyPilot knows."""
    return frozenset(known.status for known in STATUSES if known.is_terminal)


@cache
def failed_statuses() -> frozenset[str]:
    """Return the statuses of failed jobs; CANCELLED is not one of them."""
    return frozenset(known.status for known in STATUSES if known.is_failed)


@cache
def unstarted_statuses() -> frozenset[str]:
    """Return the statuses of failed jobs whose program was never started."""
    return frozenset(known.status for known in STATUSES if known.is_failed and known.is_unstarted)


def is_terminal(status: str) -> bool:
    """Return whether a status is terminal; an unknown one is not."""
    return status in terminal_statuses()
