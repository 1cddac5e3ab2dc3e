"""Words for people go to stderr, with hostile text made harmless."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fmon.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable


def say(*sentences: str) -> None:
    """Print words to stderr, with control characters of hostile text made visible."""
    from fmon.text import visible

    for sentence in sentences:
        print(visible(" ".join(sentence.split())), file=sys.stderr)  # noqa: T201


def refuse_bad(bad: Iterable[str]) -> None:
    """Fail for records that did not fit, after everything else is stored."""
    sentences = list(bad)
    if sentences:
        shown = "; ".join(sentences[:5])
        message = (
            f"{len(sentences)} queue record(s) do not fit and were left out, the rest is stored: {shown}"
        )
        raise SnapshotError(message)
