"""When the open jobs may have ended: the query over the views, and its answer in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

ETA = """
select
    eta.factor,
    eta.is_of_all,
    eta.is_expected,
    eta.running_count,
    eta.unknown_count,
    eta.remaining_s
from eta
"""

LONGEST_S = 10 * 365 * 86400
"""Beyond this nobody means a date."""


class Guess(msgspec.Struct, frozen=True):
    """How long the open conditions may still take: the columns of ``ETA``.

    Attributes
    ----------
    remaining_s
        Time from now [s]; None = unknown.
    unknown_count
        Open conditions without any estimate.
    factor
        Whose levels the estimates go by; None = by none.
    is_of_all, is_expected
        Some go by all succeeded conditions, or by the config's expected times.
    """

    remaining_s: float | None
    running_count: int
    unknown_count: int
    factor: str | None
    is_of_all: bool
    is_expected: bool


@dataclass(frozen=True, kw_only=True)
class Eta:
    """When the open jobs may have ended.

    Attributes
    ----------
    at
        The time [UTC]; None = nobody can say.
    rest_s
        The same as time from now [s].
    rule
        How it was worked out, or why it can't be.
    """

    at: datetime | None
    rest_s: float | None
    rule: str


def eta_of(guess: Guess | None, now: datetime) -> Eta | None:
    """Turn the row of ``ETA`` into words; None where no condition is pending or running."""
    if guess is None:
        return None
    if not guess.running_count:
        return Eta(at=None, rest_s=None, rule="nothing is running")
    if guess.remaining_s is None:
        rule = "nothing comparable has succeeded, and the config expects no time"
        return Eta(at=None, rest_s=None, rule=rule)
    if guess.remaining_s > LONGEST_S:
        return Eta(at=None, rest_s=None, rule="more than ten years")
    rules = [
        f"median of succeeded conditions of the same {guess.factor}" if guess.factor else "",
        "median of all succeeded conditions" if guess.is_of_all else "",
        "the config's expected times" if guess.is_expected else "",
    ]
    rule = ", ".join(filter(None, rules))
    if guess.unknown_count:
        rule += f"; {guess.unknown_count:,} open without any estimate are not in it"
    at = now + timedelta(seconds=guess.remaining_s)
    return Eta(at=at, rest_s=guess.remaining_s, rule=f"{rule}; {guess.running_count:,} at a time")
