"""The HTML page: facts in, one self-contained file out, never above a megabyte (floor 4)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from fmon.report.matrix import matrix_of
from fmon.report.text import clock, cost, cut, duration, money, reconciled, visible
from fmon.report.timeline import bars_of, strip_of

MAX_BYTES = 1_000_000

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of each list a page shows; the rest is counted on it and stands in the JSONL."""

    conditions: int = 5_000
    conditions_of_many: int = 500
    bars: int = 500
    bars_of_many: int = 200
    alarms: int = 50
    levels: int = 40
    cells: int = 6_000
    reasons: int = 40
    reason_characters: int = 2_000
    ids: int = 20
    polls: int = 30
    cycles: int = 30
    name_characters: int = 100


SIZES = (
    Size(),
    Size(conditions=1_000, reason_characters=1_000, name_characters=60),
    Size(conditions=300, bars=150, bars_of_many=150, reasons=25, reason_characters=500, name_characters=40),
    Size(
        conditions=100,
        bars=50,
        bars_of_many=50,
        alarms=20,
        levels=15,
        cells=1_000,
        reasons=15,
        reason_characters=200,
        ids=5,
        polls=10,
        cycles=10,
        name_characters=20,
    ),
)
"""Tried in this order until the page is small enough: only hostile or very long texts get to the second."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the page is made of: rows of the queries in this package, by their names there.

    Attributes
    ----------
    matrices : rows of MATRIX by pair of factors
    parts : rows of DENSITY
    """

    experiment: dict[str, Any]
    outcome: dict[str, Any]
    polls: dict[str, Any]
    alarms: Rows
    alarm_counts: Rows
    levels: Rows
    matrices: dict[tuple[str, str], Rows]
    cycles: Rows
    reconciled: Rows
    failures: Rows
    gaps: Rows
    failed_polls: Rows
    conditions: Rows
    spans: Rows
    parts: Rows


def render(facts: Facts) -> str:
    """Write the page; the same facts give the same bytes."""
    for size in SIZES:
        page = _render(facts, size)
        if len(page.encode()) <= MAX_BYTES:
            return page
    return page


def _render(facts: Facts, size: Size) -> str:
    style, script = _asset("page.css"), _asset("page.js")
    template = _environment(size).from_string(_asset("page.html.j2"))
    return template.render(
        facts=facts,
        experiment=facts.experiment,
        outcome=facts.outcome,
        size=size,
        factors=[(factor, list(rows)) for factor, rows in groupby(facts.levels, itemgetter("factor"))],
        matrix=matrix_of(facts.levels, facts.matrices, size),
        bars=bars_of(facts.spans, size),
        strip=strip_of(facts.spans, facts.parts, size),
        style=Markup(style),
        script=Markup(script),
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


def _environment(size: Size) -> Environment:
    """Make the template's surroundings: everything that comes out of it is escaped, and shows only itself."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters.update(
        clock=clock,
        duration=duration,
        money=money,
        count=lambda number: f"{number:,}",
        name=lambda text: cut(text, size.name_characters),
        multiline=_multiline,
        kept=lambda found, most: found[:most],
        left=_left,
    )
    environment.globals.update(cost=cost, reconciled=reconciled)
    return environment


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _multiline(text: str, most: int, length: int | None) -> Markup:
    """Keep the lines of a reason; say how long it is where it is cut."""
    shown = "\n".join(visible(part) for part in text[:most].split("\n"))[:most]
    more = f" … ({length:,} characters, see the JSONL)" if length and length > len(shown) else ""
    return Markup(escape(shown + more))


def _left(found: Rows, most: int) -> int:
    """Count what a list leaves out; each row says how many there are in all."""
    return max(0, found[0]["total"] - min(len(found), most)) if found else 0


@cache
def _asset(name: str) -> str:
    return files("fmon.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
