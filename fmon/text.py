"""How values are written for people and as JSON; standard library only.

Names, levels and reasons come from jobs and their logs: hostile text.
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
"""Unicode categories that steer instead of show: controls, direction overrides, surrogates, separators."""

_ASCII = re.compile(r"[ -~]*")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


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
    import msgspec

    written = msgspec.json.format(_encoder().encode(value), indent=0).decode()
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], written)


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec  # 50 ms, and most of what imports this module writes no JSON

    return msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def timestamp(time: datetime) -> str:
    """Write a time as in JSON: 2026-03-22T05:08:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def nearest(word: object, known: Iterable[object]) -> str:
    """Name the known word that is nearest to an unknown one."""
    words = [str(each) for each in known]
    found = get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else f"known are: {', '.join(words)}"


MAX_NAMED = 5
"""Names that a sentence lists before it only counts the rest."""


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
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "job"), counted(1200, "relaunch", "relaunches")
    ('1 job', '1,200 relaunches')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
