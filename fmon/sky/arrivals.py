"""Pass the pieces of a log from the thread that reads them to the thread that shows them."""

from __future__ import annotations

import math
import queue
import time
from typing import TYPE_CHECKING

from fmon.errors import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WAITING = 64
"""Maximum number of waiting pieces; beyond it the server waits too, for example for a pager."""

QUIET_S = 1.0


class StoppedError(QueueError):
    """The time limit was reached before the end of the log."""


class Arrivals:
    """A queue of pieces with an end, which may be an error."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._error: BaseException | None = None
        self._is_closed = False

    def put(self, piece: bytes | None) -> bool:
        """Add a piece, None as the last; return False if the reader has stopped."""
        while not self._is_closed:
            try:
                self._pieces.put(piece, timeout=QUIET_S)
            except queue.Full:
                continue
            return True
        return False

    def end(self, error: BaseException | None) -> None:
        """Add the end."""
        self._error = error
        self.put(None)

    def close(self) -> None:
        """Accept no more pieces."""
        self._is_closed = True

    def pieces(self, timeout_s: float | None) -> Iterator[bytes]:
        """Yield the pieces, and an empty one after each second without any.

        Raises
        ------
        StoppedError
            The time limit was reached.
        BaseException
            The error passed to ``end``.
        """
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise StoppedError(f"stopped after {timeout_s:g} s", error_type="Timeout")
            try:
                piece = self._pieces.get(timeout=min(QUIET_S, left_s))
            except queue.Empty:
                yield b""
                continue
            if piece is None:
                if self._error is not None:
                    raise self._error
                return
            yield piece
