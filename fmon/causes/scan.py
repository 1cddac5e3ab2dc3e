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
    "error:", "error ", "error]", "error(", "error)", "error'", 'error"', "error,", "error.", "error-", "error;",
    "error\n", "error\r", "error>", "error|", "error\x1b", "error/", "error{", "validation error", "errno", "exception", "traceback (", "fatal", "killed", "sigkill", "sigterm", "sigsegv", "sigint", "signal",
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
"""What every rule's lines contain, in lower case; upper and lower case count alike.

``error`` needs a mark behind it: ``errors 0`` and ``error_rate=0.1`` stand in every line of many logs.
"""

LAST_WINDOW = 1 << 20
WINDOW = 8 << 20
BEFORE, AFTER = 1500, 2500
MAX_SEGMENTS = 40
MAX_SEEN = 3
MAX_KINDS = 50_000


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

    options = _options()
    return re2.compile("|".join(re2.escape(each) for each in LITERALS).encode("latin-1"), options)


@cache
def line_trigger() -> Any:
    """Compile the same with the rest of the line: one match a line."""
    import re2

    options = _options()
    literals = "|".join(re2.escape(each) for each in LITERALS)
    return re2.compile(f"(?:{literals})[^\\r\\n]*".encode("latin-1"), options)


def _options() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = 32 << 20
    return options


@cache
def _progress() -> Any:
    import re2

    options = _options()
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


def read_window(
    data: Any,
    start: int,
    end: int,
    extra: Any = None,
    *,
    seen: dict[bytes, int] | None = None,
    goes_on: bool = False,
) -> Block:
    """Read the lines worth reading of one window.

    Parameters
    ----------
    data : the log
    start, end : the window
    extra : a compiled re2 of the user's own patterns
    seen : how often each kind of line was read; what was read often enough is left out. None: nothing is
    goes_on : the program is known to have gone on after it: nobody asks for its steps
    """
    raw = bytes(data[start:end])
    spans = _spans(raw, seen)
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
    return Block(lines, offsets, [] if goes_on else _steps(raw), start)


def _spans(raw: bytes, seen: dict[bytes, int] | None) -> list[tuple[int, int]]:
    """Find the hits and what stands around them, merged; kinds of lines seen often enough are left out."""
    spans: list[tuple[int, int]] = []
    size = len(raw)
    for where, end in _hits(raw):
        if seen is not None:
            kind = raw[where : min(end, where + 200)].translate(None, b"0123456789")
            count = seen.get(kind, 0)
            if count >= MAX_SEEN:
                continue
            if len(seen) > MAX_KINDS:
                seen.clear()
            seen[kind] = count + 1
        floor = max(0, where - MAX_LINE)
        low = max(raw.rfind(b"\n", floor, where), floor)
        spans.append((max(0, low - BEFORE), min(end, where + MAX_LINE) + AFTER))
    return _merged([(_line_start(raw, low, size), min(size, high)) for low, high in _merged(spans)])


def _hits(raw: bytes) -> Iterator[tuple[int, int]]:
    """Give from where to the line's end the literals are found, once a line; of a long line each part."""
    for match in line_trigger().finditer(raw):
        where, end = match.span()
        while end - where > MAX_LINE:
            yield where, where + MAX_LINE
            again = trigger().search(raw, where + MAX_LINE, end)
            if again is None:
                break
            where = again.start()
        else:
            yield where, end


def _line_start(raw: bytes, low: int, size: int) -> int:
    """Move to where a line begins, unless the lines are long."""
    found = raw.find(b"\n", low, min(size, low + BEFORE))
    return found + 1 if low > 0 and found >= 0 else low


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
