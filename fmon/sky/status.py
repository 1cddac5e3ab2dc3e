"""What each status of a SkyPilot managed job means: the only place that says it.

Table ``status`` of the views holds these rows. A status that is not listed (SkyPilot adds some between
releases) is kept as it came: not terminal, its machine is taken to cost money, it counts as running, and
it raises an alarm.
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


STATUSES = (
    Status("PENDING", "pending", "waiting"),
    Status("SUBMITTED", "pending", "waiting"),
    Status("STARTING", "pending", "starting", is_billed=True),
    Status("RUNNING", "running", "running", is_billed=True),
    Status("RECOVERING", "running", "running", is_billed=True),
    Status("WINDING_DOWN", "running", "running", is_billed=True),
    Status("CANCELLING", "running", "running", is_billed=True),
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
    """Give the statuses that no further change is possible from."""
    return frozenset(known.status for known in STATUSES if known.is_terminal)


@cache
def failed_statuses() -> frozenset[str]:
    """Give the statuses of jobs that ended without success; CANCELLED is none of them."""
    return frozenset(known.status for known in STATUSES if known.is_failed)


def is_terminal(status: str) -> bool:
    """Tell whether no further change of a status is possible; an unknown status is not terminal."""
    return status in terminal_statuses()
