"""Format values for people and as JSON; imports only the standard library.

Names, levels and reasons come from jobs and their logs: untrusted text.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import UTC
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    import msgspec

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that control the display: control characters, overrides, surrogates, separators."""

_ASCII = re.compile(r"[ -~]*")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def visible(text: str) -> str:
    r"""Escape control characters and all others that can control a terminal or a page.

    Examples
    --------
    >>> print(visible("a\x1b]0;b"))
    a\x1b]0;b
    """
    if _ASCII.fullmatch(text):
        return text
    return "".join(_escaped(character) for character in text)


def cut(text: str, length: int) -> str:
    """Escape a text and truncate it; a truncated text ends with its full length."""
    shown = visible(text[: length + 1])
    if len(shown) <= length and len(text) <= length:
        return shown
    return f"{shown[:length]}… ({len(text):,} characters)"


def money(usd: Decimal | float | None) -> str:
    """Format US dollars with cents; None is "unknown"."""
    return "unknown" if usd is None else f"${usd:,.2f}"


def cost(usd: Decimal | float | None, unpriced_count: int, source: str = "") -> str:
    """Format a cost, with its source (see ``cost_source``) and the number of jobs without a cost."""
    notes = ", ".join(filter(None, (source, f"{unpriced_count:,} unpriced" if unpriced_count else "")))
    return money(usd) + (f" ({notes})" if notes else "")


def cost_source(reported_count: int, job_count: int) -> str:
    """Return whether a cost is SkyPilot's own, from its cost report, or fmon's estimate.

    Examples
    --------
    >>> cost_source(0, 5), cost_source(5, 5), cost_source(3, 5)
    ('estimate', "SkyPilot's own", "SkyPilot's own for 3 of 5 jobs")
    """
    if not reported_count:
        return "estimate"
    return "SkyPilot's own" + (
        f" for {reported_count:,} of {job_count:,} jobs" if reported_count < job_count else ""
    )


def duration(seconds: float | None) -> str:
    """Format a time span in its two largest units; None is empty.

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
    """Format a time for people, to the second; None is empty."""
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def json_text(value: Any) -> str:
    """Format a query's value as JSON: exact decimals as numbers, times as 2026-03-22T05:08:00Z.

    NaN and infinity, which JSON does not have, become null; everything but ASCII is escaped, so that it
    can't control a terminal.
    """
    import msgspec

    written = msgspec.json.format(_encoder().encode(value), indent=0).decode()
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], written)


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec  # takes 50 ms, and most importers of this module write no JSON

    return msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def timestamp(time: datetime) -> str:
    """Format a time as in JSON: 2026-03-22T05:08:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


MAX_OFFERED = 20
"""Number of known words that ``nearest`` lists."""


def nearest(word: object, known: Iterable[object]) -> str:
    """Suggest the known word that is closest to an unknown one, or list the known ones."""
    words = [str(each) for each in known]
    found = get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else f"available: {listed(words, MAX_OFFERED)}"


MAX_NAMED = 5
"""Number of names that a sentence lists; the rest are only counted."""


def listed(names: Iterable[object], most: int = MAX_NAMED) -> str:
    """List the first few names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    words = [str(name) for name in names]
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most:,} more"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun.

    Examples
    --------
    >>> counted(1, "job"), counted(1200, "relaunch", "relaunches")
    ('1 job', '1,200 relaunches')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
