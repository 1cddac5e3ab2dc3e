"""Estimate when the open jobs will have ended, and describe the method."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from fmon.text import duration

ETA = """
select
    eta.factor,
    eta.is_of_all,
    eta.is_expected,
    eta.running_count,
    eta.unknown_count,
    eta.overdue_count,
    eta.remaining_s,
    eta.overdue_s
from eta
"""

LONGEST_S = 10 * 365 * 86400
"""Longest estimate to show as a date [s]."""


class Guess(msgspec.Struct, frozen=True):
    """The estimated remaining time of the open conditions: the columns of ``ETA``.

    Attributes
    ----------
    remaining_s
        Time from now [s]; None = unknown, or all are overdue.
    unknown_count
        Number of open conditions without an estimate.
    overdue_count, overdue_s
        Number of running conditions that have used up their time, and by how much the longest of them.
    factor
        The factor by whose levels times are estimated; None if there is none.
    is_of_all, is_expected
        Whether some estimates use all succeeded conditions, or the config's expected times.
    """

    remaining_s: float | None
    overdue_s: float | None
    running_count: int
    unknown_count: int
    overdue_count: int
    factor: str | None
    is_of_all: bool
    is_expected: bool


@dataclass(frozen=True, kw_only=True)
class Eta:
    """The estimated time when the open jobs will have ended.

    Attributes
    ----------
    at
        The time [UTC]; None = unknown.
    rest_s
        The remaining time [s].
    overdue_s
        How long ago the open jobs should have ended [s]; None = some still have time, or it is unknown.
    rule
        How the time was estimated, or why it is unknown.
    """

    at: datetime | None
    rest_s: float | None
    rule: str
    overdue_s: float | None = None


def eta_of(guess: Guess | None, now: datetime) -> Eta | None:
    """Return the estimate for the row of ``ETA``; None if no condition is pending or running."""
    if guess is None:
        return None
    if not guess.running_count:
        return Eta(at=None, rest_s=None, rule="nothing is running")
    if guess.remaining_s is None and guess.overdue_s is None:
        rule = "no comparable condition has succeeded, and the config has no expected time"
        return Eta(at=None, rest_s=None, rule=rule)
    if (guess.remaining_s or 0) > LONGEST_S:
        return Eta(at=None, rest_s=None, rule="more than ten years")
    rules = [
        f"median of succeeded conditions of the same {guess.factor}" if guess.factor else "",
        "median of all succeeded conditions" if guess.is_of_all else "",
        "the config's expected times" if guess.is_expected else "",
    ]
    rule = ", ".join(filter(None, rules))
    if guess.unknown_count:
        rule += f"; {guess.unknown_count:,} open without an estimate are not included"
    if guess.remaining_s is None:
        return Eta(at=None, rest_s=None, overdue_s=guess.overdue_s, rule=rule)
    if guess.overdue_s is not None:
        overdue = f"overdue by up to {duration(guess.overdue_s)}"
        rule += f"; {guess.overdue_count:,} {overdue} are not included"
    at = now + timedelta(seconds=guess.remaining_s)
    return Eta(at=at, rest_s=guess.remaining_s, rule=f"{rule}; {guess.running_count:,} at a time")
