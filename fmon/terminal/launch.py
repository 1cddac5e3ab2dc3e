"""Show what a launch would do, and its progress, on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

MAX_SHOWN = 20
"""Lines shown before a question; ``--dry-run`` prints all of them."""


def shown(lines: Sequence[str]) -> list[str]:
    """Return the first lines of what would be done, and how many more there are.

    Examples
    --------
    >>> shown([f"job {number}" for number in range(22)])[-1]
    '... 2 more; --dry-run shows all'
    """
    more = len(lines) - MAX_SHOWN
    return [*lines[:MAX_SHOWN], *([f"... {more:,} more; --dry-run shows all"] if more > 0 else [])]


class LaunchBar:
    """A progress bar on a terminal; a file gets nothing, since the audit records each launch."""

    def __init__(self) -> None:
        columns = (TextColumn("launching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True
        )
        self._task = self._bar.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, settled: int, total: int) -> None:
        """Show how many launches are settled; the first call displays the bar."""
        self._bar.start()
        self._bar.update(self._task, completed=settled, total=total, visible=True)
