"""How values are written for people and as JSON (floor 4); standard library only.

Names, levels and reasons come from jobs and their logs: hostile text.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that steer instead of show: controls, direction overrides, surrogates, separators."""

_ASCII = re.compile(r"[ -~]*")


def visible(text: str) -> str:
    r"""Write control characters and what else steers a terminal or a page as escapes.

    Examples
    --------
    >>> print(visible("a\x1b]0;b"))
    a\x1b]0;b
    """
    if _ASCII.fullmatch(text):
        return text
    return "".join(_escaped(character) for character in text)


def cut(text: str, length: int) -> str:
    """Make text visible and keep its beginning; what is left out is counted, never silently dropped."""
    shown = visible(text[: length + 1])
    if len(shown) <= length and len(text) <= length:
        return shown
    return f"{shown[:length]}… ({len(text):,} characters)"


def money(usd: Decimal | float | None) -> str:
    """Write US dollars with cents; unknown stays unknown."""
    return "unknown" if usd is None else f"${usd:,.2f}"


def cost(usd: Decimal | float | None, unpriced_count: int) -> str:
    """Write what is known of a cost, and how many jobs are not in it."""
    return money(usd) + (f" ({unpriced_count:,} unpriced)" if unpriced_count else "")


def reconciled(found: dict[str, Any]) -> str:
    """Hold fmon's cost against SkyPilot's own, in a sentence; ``found`` is a row of RECONCILED."""
    reported, compared = found["reported_count"], found["compared_count"]
    said = (
        f"SkyPilot's own cost report of {clock(found['reported_at'])}: {money(found['reported_usd'])}"
        f" for {reported:,} of {found['job_count']:,} jobs"
    )
    if not compared:
        return f"{said}; fmon has a price for none of them"
    difference = found["difference_usd"]
    apart = ("-" if difference < 0 else "+") + money(abs(difference))
    if compared < reported:
        return f"{said}; fmon differs by {apart} for the {compared:,} of them that it has a price for"
    return f"{said}; fmon says {money(found['reported_usd'] + difference)} for the same, difference {apart}"


def firing_reason(firing: Mapping[str, Any]) -> str:
    """Say why the kill-switch fired; ``firing`` is its event, or a row of view ``kill_switch``.

    Examples
    --------
    >>> firing_reason({"trigger": "failed_ratio", "failed_count": 9})
    '9 jobs failed, more than max_failed_ratio'
    """
    count = firing["failed_count"] if "failed_count" in firing else len(firing["member_job_ids"])
    if firing["trigger"] == "failed_ratio":
        return f"{count:,} jobs failed, more than max_failed_ratio"
    where = " ".join(f"{factor}={level}" for factor, level in firing["combination"].items())
    return f"{count:,} jobs failed with the identical error ({firing['category']})" + (
        f" at {where}" if where else ""
    )


def firing_sentence(
    firing: Mapping[str, Any], *, proposed: Sequence[int], experiment_id: str, most: int = 20
) -> str:
    """Say why the kill-switch fired, which jobs are better cancelled, and what to type for it.

    Parameters
    ----------
    firing : as for ``firing_reason``
    proposed : jobs to cancel as things stand
    experiment_id : the experiment
    most : jobs to name; how many more there are is said
    """
    said = firing_reason(firing)
    if not proposed:
        return f"{said}; nothing to cancel" + (
            f": {firing['no_action_reason']}" if firing["no_action_reason"] else ""
        )
    more = f" and {len(proposed) - most:,} more" if len(proposed) > most else ""
    listed = ", ".join(map(str, proposed[:most])) + more
    command = f"fmon cancel --kill-switch --yes --experiment {experiment_id}"
    return f"{said}; better cancelled: job {listed}: {command}"


def duration(seconds: float | None) -> str:
    """Write a time span in its two largest units; empty where there is none.

    Examples
    --------
    >>> duration(42.4), duration(754), duration(3_900), duration(180_000)
    ('42 s', '12 min 34 s', '1 h 05 min', '2 d 02 h')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 and whole else ""
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{sign}{whole // 86400:,} d {whole % 86400 // 3600:02d} h"


def clock(time: datetime | None) -> str:
    """Write a time for people, to the second; empty where there is none."""
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def json_text(value: Any) -> str:
    """Write a value of a query as JSON: exact decimals as numbers, times as 2026-03-22T05:08:00Z.

    What JSON has no number for (NaN, infinity) is null; all but ASCII is escaped, so that it can't steer
    a terminal.
    """
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return json.dumps(value) if math.isfinite(value) else "null"
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return json.dumps(_timestamp(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return json.dumps(str(value))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _number(value: Decimal) -> str:
    """Write a decimal digit for digit, without the zeros that only its column's scale gives it."""
    if not value.is_finite():
        return "null"
    digits = f"{value:f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


def _timestamp(time: datetime) -> str:
    if time.tzinfo is None:
        return time.isoformat()
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0')}Z" if time.microsecond else f"{text}Z"
