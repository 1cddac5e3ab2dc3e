"""The page of ``fmon compare``: one self-contained file in the style of the report, without a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fmon.report.comparison import figures, headline, level_list, matching, measures, proof
from fmon.report.page.document import MAX_BYTES, document
from fmon.report.page.sources import comparison_sources_of
from fmon.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.report.comparison import Change


class Size(NamedTuple):
    """How much of each list a page shows; the rest is counted, and ``-o json`` has it."""

    rows: int
    characters: int
    ids: int
    pairs: int


SIZES = (Size(300, 600, 6, 50), Size(60, 200, 3, 20), Size(10, 80, 1, 10))
"""Tried in this order until the page is small enough."""


def render(changes: Sequence[Change]) -> str:
    """Return the page; the same changes give the same bytes."""
    for size in SIZES:
        page = _render(changes, size)
        if len(page.encode()) <= MAX_BYTES:
            return page
    return page


def _render(changes: Sequence[Change], size: Size) -> str:
    return document(
        "comparison.html.j2",
        styles=("base.css", "page.css", "comparison.css", "print.css"),
        filters={
            "short": lambda text: cut(text or "", size.characters),
            "levels": level_list,
            "ids": lambda found: ", ".join([*found[: size.ids], *(["..."] if len(found) > size.ids else [])]),
        },
        sources_of=lambda change: comparison_sources_of(change.before_experiment_id, change.experiment_id),
        figures=figures,
        headline=headline,
        matching=matching,
        measures=measures,
        proof=proof,
        changes=changes[: size.pairs],
        left=max(0, len(changes) - size.pairs),
        ids=[changes[0].before_experiment_id, *(change.experiment_id for change in changes)],
        size=size,
    )
