"""Keep the head and the tail of a text of any length in limited memory."""

from __future__ import annotations

import re

HEAD_BYTES = 256 << 10
TAIL_BYTES = 1 << 20
SEAM_BYTES = 64 << 10
"""How far from a cut the end of a line is searched."""

MARK = re.compile(r"(^\[fmon: .{1,60} left out here\]$)", re.MULTILINE)
"""Text in place of the part that is cut out; the parts on both sides are redacted separately."""

LONGEST_SECRET = 8 << 10
"""Bytes to drop at a cut without a line end nearby: they may be part of a secret."""


class Ends:
    r"""Keeps the first and the last bytes of a stream, in complete lines if there are lines.

    Examples
    --------
    >>> ends = Ends(head=8, tail=8)
    >>> for line in (b"first\n", b"second\n", b"third\n", b"last\n"):
    ...     ends.add(line)
    >>> ends.value().split(b"\n")
    [b'first', b'[fmon: 13 bytes left out here]', b'last', b'']
    """

    def __init__(self, *, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self.total = 0
        self._head_size, self._tail_size = head, tail
        self._head, self._tail = bytearray(), bytearray()

    def add(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self.total += len(chunk)
        room = max(0, self._head_size - len(self._head))
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: -self._tail_size]

    def value(self) -> bytes:
        """Return the text that was kept, with the cut marked."""
        if len(self._head) + len(self._tail[-self._tail_size :]) == self.total:
            return bytes(self._head + self._tail)
        first, last = self.head(), self.tail()
        return first + _mark(f"{self.total - len(first) - len(last)} bytes") + last

    def head(self) -> bytes:
        """Return the head, without its last, incomplete line."""
        return _without_last_part(bytes(self._head))

    def tail(self) -> bytes:
        """Return the tail, without its first, incomplete line."""
        return _without_first_part(bytes((self._head + self._tail)[-self._tail_size :]))


def joined(head: bytes, tail: bytes) -> bytes:
    """Join a head and a tail between which an unknown part was never read."""
    return head + _mark("a part of unknown length is") + tail


def _mark(what: str) -> bytes:
    return f"[fmon: {what} left out here]\n".encode()


def _without_last_part(head: bytes) -> bytes:
    """Drop the line at the cut, so that no part of a secret is left."""
    start = max(0, len(head) - SEAM_BYTES)
    at = max(head.rfind(b"\n", start), head.rfind(b"\r", start)) + 1
    kept = head[:at] if at > start else head[:-LONGEST_SECRET]
    return kept if kept.endswith(b"\n") or not kept else kept + b"\n"


def _without_first_part(tail: bytes) -> bytes:
    """Drop the line at the cut, like ``_without_last_part``."""
    found = [at for end in (b"\n", b"\r") if (at := tail.find(end, 0, SEAM_BYTES)) >= 0]
    return tail[min(found) + 1 :] if found else tail[LONGEST_SECRET:]
