# ruff: noqa: E501 -- a pattern is read better in one line
"""Find the lines worth reading in a log of any size (floor 3).

One re2 alternation of literals over bytes, window by window from the end; only lines around a hit
are turned into text. A window is at most 8 MB, so a log larger than the memory is no problem.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.causes.text import MAX_LINE, Line, clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LITERALS = (
    "error", "exception", "traceback (", "fatal", "killed", "sigkill", "sigterm", "sigsegv", "sigint", "signal",
    "oom", "out of memory", "no such", "not found", "does not exist", "missing", "denied", "unauthorized",
    "forbidden", "cancelled", "canceled", "preempt", "abort", "dumped", "terminate", "nccl", "xid", "quota",
    "no space", "fail", "unable to", "cannot", "can't", "could not", "couldn't", "invalid", "nan", "interrupt",
    "timed out", "timeout", "time limit", "refused", "unreachable", "exit code", "exit status", "exitcode",
    "segmentation", "illegal", "bus error", "evicted", "insufficient", "capacity", "unavailable",
    "not available", "unbound", "syntax", "substitution", "expected", "unrecognized", "unknown", "exceeded",
    "toomany", "rate limit", "credential", "api_key", "node_fail", "node fail", "its node", "exhausted",
    "corrupt", "truncated", "mismatch", "not installed", "required", "singular", "invoked", "walltime",
    "deadline", "infeasible", "catalog", "imagepull", "not inside", "is not a", "not set", 'file "', "\nfile ",
    "exited", "no module", "must be", "reclaim", "lost", "resolv", "expired", "login", "is full", "too old",
    "too many", "diverge", "inf ", "not in", "replace", "stdexcept", "panicked", "dead", "died",
)  # fmt: skip
"""What every rule's lines contain, in lower case; upper and lower case count alike."""

LAST_WINDOW = 1 << 20
WINDOW = 8 << 20
BEFORE, AFTER = 1500, 2500
MAX_SEGMENTS = 40
MAX_SEEN = 3


class Block(NamedTuple):
    """The lines worth reading of one window, and where progress shows."""

    lines: list[Line]
    """Line numbers count from 1 at the window's first line; an empty line where lines were left out."""
    offsets: list[int]
    progress: list[int]
    """Offsets of steps that go on, each printed for the first time."""
    start: int

    def goes_on_after(self, index: int) -> int:
        """Count the different steps printed after a line."""
        return len(self.progress) - bisect_right(self.progress, self.offsets[index])


@cache
def trigger() -> Any:
    """Compile the alternation of all literals."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = 32 << 20
    return re2.compile("|".join(re2.escape(each) for each in LITERALS).encode("latin-1"), options)


@cache
def _progress() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    return re2.compile(
        rb"\d+%\|[^\r\n]{0,60}\d+/\d+|\b(?:epoch|step|iter(?:ation)?|batch)s?[ :=#\[(]{1,3}\d+(?:/\d+)?[^\r\n]{0,24}",
        options,
    )


def windows(data: Any) -> Iterator[tuple[int, int]]:
    """Give the (start, end) of windows from the end of a log, cut at line ends where there are any."""
    end = len(data)
    size = LAST_WINDOW
    while end > 0:
        start = max(0, end - size)
        if start > 0:
            cut = data.find(b"\n", start, min(end, start + 65536))
            start = cut + 1 if 0 <= cut < end - 1 else start
        yield start, end
        end, size = start, WINDOW


def release(data: Any) -> None:
    """Give back the memory of a read-only map; its pages are read again when needed."""
    if isinstance(data, mmap.mmap) and hasattr(data, "madvise"):
        with memoryview(data) as view:
            is_read_only = view.readonly
        if is_read_only:
            data.madvise(mmap.MADV_DONTNEED)


def read_window(data: Any, start: int, end: int, extra: Any = None, *, is_last: bool) -> Block:
    """Read the lines worth reading of one window.

    Parameters
    ----------
    data : the log
    start, end : the window
    extra : a compiled re2 of the user's own patterns
    is_last : it is the log's end: nothing that repeats is left out
    """
    raw = bytes(data[start:end])
    spans = _spans(raw, is_last=is_last)
    if extra is not None:
        spans = _merged(
            sorted([*spans, *((max(0, m.start() - 500), m.end() + 500) for m in extra.finditer(raw))])
        )
    lines: list[Line] = []
    offsets: list[int] = []
    number, counted = 1, 0
    for low, high in spans:
        number += raw.count(b"\n", counted, low)
        counted = low
        if lines:
            lines.append(Line(number, "", "", is_mild=False))
            offsets.append(low)
        _read_span(raw, low, high, number, lines, offsets)
    return Block(lines, offsets, _steps(raw), start)


def _spans(raw: bytes, *, is_last: bool) -> list[tuple[int, int]]:
    """Find the hits and what stands around them, merged."""
    find = trigger().search
    spans: list[tuple[int, int]] = []
    seen: dict[bytes, int] = {}
    at, size = 0, len(raw)
    while at < size:
        hit = find(raw, at)
        if hit is None:
            break
        where = hit.start()
        floor = max(0, where - MAX_LINE)
        low = max(raw.rfind(b"\n", floor, where), raw.rfind(b"\r", floor, where)) + 1 or floor
        ceiling = min(size, where + MAX_LINE)
        ends = [
            each for each in (raw.find(b"\n", where, ceiling), raw.find(b"\r", where, ceiling)) if each >= 0
        ]
        high = min(ends, default=ceiling)
        at = max(high, where + 1)
        if not is_last:
            kind = raw[low:high].translate(None, b"0123456789")
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] > MAX_SEEN:
                continue
            if len(seen) > 50_000:
                seen.clear()
        spans.append((max(0, low - BEFORE), min(size, high + AFTER)))
    return _merged(spans)


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that touch."""
    joined: list[tuple[int, int]] = []
    for low, high in spans:
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _read_span(raw: bytes, low: int, high: int, number: int, lines: list[Line], offsets: list[int]) -> None:
    """Clean the lines of one span; of a line with many carriage returns only what may count."""
    at = low
    for part in raw[low:high].split(b"\n"):
        segments = part.split(b"\r") if b"\r" in part else [part]
        where = at
        for position, segment in enumerate(segments):
            few = len(segments) <= MAX_SEGMENTS or position >= len(segments) - 3
            if segment and (few or trigger().search(segment) is not None):
                lines.append(clean(segment, number))
                offsets.append(where)
            elif len(segments) == 1:
                lines.append(Line(number, "", "", is_mild=False))
                offsets.append(where)
            where += len(segment) + 1
        at += len(part) + 1
        number += 1


def _steps(raw: bytes) -> list[int]:
    """List where steps show that were not printed before, W&B's summary aside."""
    seen: set[bytes] = set()
    found = []
    for match in _progress().finditer(raw):
        text = match.group()
        where = match.start()
        if text in seen or b"wandb" in raw[max(0, where - 40) : where]:
            continue
        seen.add(text)
        found.append(where)
    return found
