"""The live view of ``fmon watch``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live

from fmon.terminal.lines import emit, is_terminal, line, styled
from fmon.terminal.status import alarm_lines, status_lines
from fmon.text import clock

if TYPE_CHECKING:
    from typing import Any, Self

    from fmon.monitor.status import Status
    from fmon.terminal.lines import Line

MAX_LIVE_ALARMS = 5
FEWEST_ROWS = 1


class WatchScreen:
    """Shows each poll: a table that is redrawn on a terminal, otherwise one line per change."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self._live = (
            Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")
            if is_terminal() and not console.is_dumb_terminal
            else None
        )
        self._printed: tuple[str, str | None] | None = None
        self._alarms: set[tuple[Any, ...]] = set()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, seen: Status, *, note: str | None = None) -> None:
        """Show a poll.

        Parameters
        ----------
        seen
            The status after the poll.
        note
            What this poll could not do; None = it did everything.
        """
        if self._live:
            self._live.update(Group(*map(styled, self._screen(seen, note))), refresh=True)
        else:
            self._print(seen, note)

    def _screen(self, seen: Status, note: str | None) -> list[Line]:
        """Fill the terminal and no more: lines that scroll out of a live view can't be redrawn."""
        assert self._live
        width, height = self._live.console.size
        notes = [line(note, "bold red")] if note else []
        rows = min(len(seen.rows), height)
        while True:
            lines = [
                *notes,
                *status_lines(seen, width=width, max_rows=rows, max_alarms=MAX_LIVE_ALARMS),
            ]
            over = sum(_height(each, width) for each in lines) - (height - 1)
            if over <= 0 or rows <= FEWEST_ROWS:
                return lines
            rows = max(FEWEST_ROWS, rows - over)

    def _print(self, seen: Status, note: str | None) -> None:
        """Print one line if progress or note changed, after one per new alarm; a note is printed once."""
        known = {(alarm.kind, alarm.job_id, alarm.raised_at): alarm for alarm in seen.alarms}
        fresh = [alarm for key, alarm in known.items() if key not in self._alarms]
        current = (seen.progress, note)
        if current == self._printed and not fresh:
            return
        is_noted = self._printed is not None and note == self._printed[1]
        self._printed, self._alarms = current, set(known)
        text = f"{clock(seen.polled_at) or 'never polled'}  {seen.progress}"
        said = f"; {note}" if note and not is_noted else ""
        emit([*alarm_lines(fresh, MAX_LIVE_ALARMS), line(text + said)])
        sys.stdout.flush()


def _height(parts: Line, width: int) -> int:
    """Count the rows that a line takes when the terminal folds it."""
    return len(styled(parts).wrap(Console(width=width), width)) or 1
