"""Messages for people go to stderr, with control characters escaped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fmon.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable


def say(*sentences: str) -> None:
    """Print messages to stderr, with control characters escaped."""
    from fmon.text import visible

    for sentence in sentences:
        print(visible(" ".join(sentence.split())), file=sys.stderr)  # noqa: T201


def refuse_bad(bad: Iterable[str]) -> None:
    """Raise an error about invalid queue records, after everything else is stored."""
    from fmon.text import counted

    sentences = list(bad)
    if sentences:
        shown = "; ".join(sentences[:5])
        records = counted(len(sentences), "invalid queue record")
        message = f"skipped {records}; everything else is stored: {shown}"
        raise SnapshotError(message)
