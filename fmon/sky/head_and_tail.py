"""Text of any length in bounded memory: its beginning and its end."""

from __future__ import annotations

import re

HEAD_BYTES = 256 << 10
TAIL_BYTES = 1 << 20
SEAM_BYTES = 64 << 10
"""How far from a cut the end of a line is looked for."""

MARK = re.compile(r"(^\[fmon: .{1,60} left out here\]$)", re.MULTILINE)
"""What stands in place of the cut; the parts on both sides of it are redacted apart."""

LONGEST_SECRET = 8 << 10
"""Left out at a cut that no line ends near: what begins or ends there may be part of a secret."""


class Ends:
    r"""Keeps the first and the last bytes of what it is given, whole lines where there are lines.

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
        """Take the next bytes."""
        self.total += len(chunk)
        room = max(0, self._head_size - len(self._head))
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: -self._tail_size]

    def value(self) -> bytes:
        """Give what is kept, with the cut marked."""
        if len(self._head) + len(self._tail[-self._tail_size :]) == self.total:
            return bytes(self._head + self._tail)
        first, last = self.head(), self.tail()
        return first + _mark(f"{self.total - len(first) - len(last)} bytes") + last

    def head(self) -> bytes:
        """Give the beginning, as of text that goes on."""
        return _without_last_part(bytes(self._head))

    def tail(self) -> bytes:
        """Give the end, as of text that has more in front of it."""
        return _without_first_part(bytes((self._head + self._tail)[-self._tail_size :]))


def joined(head: bytes, tail: bytes) -> bytes:
    """Put a tail behind a head where what stood between them was never read."""
    return head + _mark("a part of unknown length is") + tail


def _mark(what: str) -> bytes:
    return f"[fmon: {what} left out here]\n".encode()


def _without_last_part(head: bytes) -> bytes:
    """Drop the line that a cut goes through, so that no half of a secret is left of it."""
    start = max(0, len(head) - SEAM_BYTES)
    at = max(head.rfind(b"\n", start), head.rfind(b"\r", start)) + 1
    kept = head[:at] if at > start else head[:-LONGEST_SECRET]
    return kept if kept.endswith(b"\n") or not kept else kept + b"\n"


def _without_first_part(tail: bytes) -> bytes:
    """Drop the line that a cut goes through, as ``_without_last_part``."""
    found = [at for end in (b"\n", b"\r") if (at := tail.find(end, 0, SEAM_BYTES)) >= 0]
    return tail[min(found) + 1 :] if found else tail[LONGEST_SECRET:]
