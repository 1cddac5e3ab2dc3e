"""Keep the head and the tail of a text of any length in limited memory."""

from __future__ import annotations

import re

HEAD_BYTES = 256 << 10
TAIL_BYTES = 1 << 20
SEAM_BYTES = 64 << 10
"""How far from a cut the end of a line is searched."""

MARK = re.compile(r"(^\[fmon: .{1,60} left out here\]$)", re.MULTILINE)
"""Text in place of the part that is cut out; the parts on both sides are redacted separately."""

HINT = re.compile(rb"Hint: This job has (\d{1,6}) tasks")
HEADING = re.compile(rb"^(?:\x1b\[[\d;]{0,20}m)*=== Task [^\n]{1,350} ===", re.MULTILINE)
HINT_BYTES, HEADING_BYTES = 16 << 10, 400
MOST_PARTS = 16
"""Parts of which the ends are kept; together they are no longer than a log without parts."""

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


class PartedEnds:
    r"""Keeps the first and the last bytes of a log, or of each part if the job has several tasks.

    Examples
    --------
    >>> ends = PartedEnds(head=50, tail=20)
    >>> ends.add(b"Hint: This job has 2 tasks.\n=== Task a(0) ===\n" + b"step\n" * 90)
    >>> ends.add(b"error\n=== Task b(1) ===\nKilled\n")
    >>> [line for line in ends.value().split(b"\n") if line not in (b"step", b"")][2:]
    [b'[fmon: 445 bytes left out here]', b'error', b'=== Task b(1) ===', b'Killed']
    """

    def __init__(self, *, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self.total = 0
        self._sizes = head, tail
        self._start: bytearray | None = bytearray()  # until it is known whether there are parts
        self._line = b""  # incomplete; it may become a heading
        self._parts = [Ends(head=head, tail=tail)]
        self._most_parts = 1

    def add(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self.total += len(chunk)
        if self._start is None:
            self._keep(chunk)
            return
        self._start += chunk
        if len(self._start) >= HINT_BYTES:
            self._decide()

    def value(self) -> bytes:
        """Return the text that was kept, with the cuts marked."""
        self._flush()
        return b"".join(part.value() for part in self._parts)

    def joined(self, tail: PartedEnds) -> bytes:
        """Join a log, whose rest was never read, with its last lines or those of each part."""
        self._flush()
        tail._flush()
        if tail._most_parts > 1:
            return tail.value()
        return self._parts[0].head() + _mark("a part of unknown length is") + tail._parts[0].tail()

    def _decide(self) -> None:
        """Look for the hint that there are parts, in the first bytes."""
        start = bytes(self._start or b"")
        self._start = None
        if found := HINT.search(start[:HINT_BYTES]):
            count = min(max(int(found[1]), 1), MOST_PARTS)
            self._most_parts = count + 1
            self._sizes = self._sizes[0] // count, self._sizes[1] // count
        self._keep(start)

    def _keep(self, chunk: bytes) -> None:
        if self._most_parts == 1:
            self._parts[0].add(chunk)
            return
        text = self._line + chunk
        end = text.rfind(b"\n") + 1
        self._line = text[end:] if len(text) - end <= HEADING_BYTES else b""
        text = text[: len(text) - len(self._line)]
        at = 0
        for heading in HEADING.finditer(text):
            if len(self._parts) < self._most_parts:
                self._parts[-1].add(text[at : heading.start()])
                self._parts.append(Ends(head=self._sizes[0], tail=self._sizes[1]))
                at = heading.start()
        self._parts[-1].add(text[at:])

    def _flush(self) -> None:
        if self._start is not None:
            self._decide()
        self._parts[-1].add(self._line)
        self._line = b""


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
