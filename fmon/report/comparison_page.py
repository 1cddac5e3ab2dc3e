"""The page of ``fmon compare``: one self-contained file in the look of the report, no script (floor 4)."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fmon.report.comparison import headline, level_list, matching, measures, proof
from fmon.report.text import clock, cut, money, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.report.comparison import Change

MAX_BYTES = 1_000_000


class Size(NamedTuple):
    """How much of each list a page shows; the rest is counted on it and stands in ``-o json``."""

    rows: int
    characters: int
    ids: int
    pairs: int


SIZES = (Size(300, 600, 6, 50), Size(60, 200, 3, 20), Size(10, 80, 1, 10))
"""Tried in this order until the page is small enough."""


def render(changes: Sequence[Change]) -> str:
    """Write the page; the same changes give the same bytes."""
    for size in SIZES:
        page = _render(changes, size)
        if len(page.encode()) <= MAX_BYTES:
            return page
    return page


def _render(changes: Sequence[Change], size: Size) -> str:
    style = _asset("page.css") + _asset("comparison.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment(size)
        .from_string(_asset("comparison.html.j2"))
        .render(
            changes=changes[: size.pairs],
            left=max(0, len(changes) - size.pairs),
            ids=[changes[0].before_experiment_id, *(change.experiment_id for change in changes)],
            style=Markup(style),
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            size=size,
        )
    )


def _environment(size: Size) -> Environment:
    """Make the template's surroundings: everything that comes out of it is escaped, and shows only itself."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters.update(
        clock=clock,
        money=money,
        count=lambda number: f"{number:,}",
        short=lambda text: cut(text or "", size.characters),
        levels=level_list,
        ids=lambda found: ", ".join([*found[: size.ids], *(["..."] if len(found) > size.ids else [])]),
    )
    environment.globals.update(headline=headline, matching=matching, measures=measures, proof=proof)
    return environment


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


@cache
def _asset(name: str) -> str:
    return files("fmon.report").joinpath(name).read_text(encoding="utf-8")
