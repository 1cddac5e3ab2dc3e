"""List the files of the log to read, while compaction may run.

Standard library only. A file is named after the polls it covers: ``0000000001-0000000060.parquet`` has polls
1 to 60. Compaction writes a larger file before it deletes those that it covers, so a listing may have both;
only the largest ones are read.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fmon.store.durable import cannot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fmon.store.folder import Store

Read = TypeVar("Read")

NAME = re.compile(r"(\d{10,18})-(\d{10,18})\.parquet")
TRIES = 5


class Span(NamedTuple):
    """The polls that a file of the log covers, both ends included."""

    lo: int
    hi: int

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.lo:010}-{self.hi:010}.parquet"


def reading_set(store: Store) -> list[Path]:
    """List the files that together contain every poll exactly once, oldest first.

    Compaction by another process may delete them while they are read: see ``steadily``.
    """
    return [store.log_dir / span.name for span in widest(spans_of(listing(store.log_dir)))]


def steadily(store: Store, read: Callable[[list[Path]], Read]) -> Read:
    """Read the log; if compaction deleted a file in the meantime, read again.

    Parameters
    ----------
    store
        The experiment.
    read
        Called with the files to read; may raise any exception for a missing file.

    Returns
    -------
    what ``read`` returned
    """
    for _ in range(TRIES - 1):
        paths = reading_set(store)
        try:
            return read(paths)
        except Exception:
            if all(path.exists() for path in paths):
                raise
    return read(reading_set(store))


def listing(folder: Path) -> list[str]:
    """List the names in a folder; none if it does not exist."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise cannot("read", folder, fault) from fault


def spans_of(names: Iterable[str]) -> list[Span]:
    """Return the files of the log in a listing; temporary and other files are ignored."""
    found = (NAME.fullmatch(name) for name in names)
    return [Span(int(match[1]), int(match[2])) for match in found if match]


def widest(spans: Iterable[Span]) -> list[Span]:
    """Return the largest files that do not overlap.

    Compaction only merges complete, adjacent files, so two files are disjoint or one covers the other.

    Examples
    --------
    >>> widest([Span(1, 1), Span(2, 2), Span(1, 2), Span(3, 3)])
    [Span(lo=1, hi=2), Span(lo=3, hi=3)]
    """
    picked: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.lo, -span.hi)):
        if not picked or span.lo > picked[-1].hi:
            picked.append(span)
    return picked
