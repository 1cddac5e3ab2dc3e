"""Find the relevant lines in a log of any size.

Literals are searched in place, window by window from the end; only lines around a hit are copied and decoded.
A window is at most 8 MB, so a log may be larger than the memory.
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.causes.folded import MAX_FOLDED, may_be_folded
from fmon.causes.literals import LITERALS, PROGRESS, any_of, find
from fmon.causes.text import MAX_LINE, Line, clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LAST_WINDOW = 1 << 20
WINDOW = 8 << 20
BEFORE, AFTER = 1500, 2500
MAX_SEGMENTS = 40
MAX_SEEN = 3
MAX_KINDS = 50_000
MAX_STEP = 120
_STEP = re.compile(
    rb"(?<=\d)%\|[^\r\n]{0,60}\d+/\d+"
    rb"|\b(?:epoch|step|iter(?:ation)?|batch)s?[ :=#\[(\x22\x27]{1,3}\d+(?:/\d+)?[^\r\n]{0,24}",
    re.IGNORECASE,
)


class Block(NamedTuple):
    """The relevant lines of one window, and its lines of progress."""

    lines: list[Line]
    """Line numbers count from 1 at the first line of the window; an empty line stands for lines left out."""
    offsets: list[int]
    progress: list[int]
    """Offsets of steps of the program, each printed for the first time."""
    start: int

    def goes_on_after(self, index: int) -> int:
        """Count the distinct steps printed after a line."""
        return len(self.progress) - bisect_right(self.progress, self.offsets[index])


def windows(data: Any) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of windows from the end of a log, cut at line ends if possible."""
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
    """Release the memory of a read-only map; its pages are read again when needed."""
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
    """Read the relevant lines of one window.

    Parameters
    ----------
    data
        The log.
    start, end
        The window.
    extra
        The patterns of the user as one compiled re2 expression.
    seen
        How often each kind of line was read; kinds read often enough are left out. None leaves out nothing.
    goes_on
        The program is known to have continued after this window, so its steps are not needed.
    """
    with memoryview(data) as view, view[start:end] as part:
        spans = _spans(data, part, start, seen)
        if extra is not None:
            own = ((start + found.start() - 500, start + found.end() + 500) for found in extra.finditer(part))
            spans = _merged(
                sorted([*spans, *_merged((max(start, low), min(end, high)) for low, high in own)])
            )
        progress = [] if goes_on else _steps(data, part, start)
    lines: list[Line] = []
    offsets: list[int] = []
    number, counted = 1, start
    for low, high in spans:
        number += data[counted:low].count(b"\n")
        counted = low
        if lines:
            lines.append(Line(number, "", "", is_mild=False))
            offsets.append(low - start)
        _read_span(data[low:high], low - start, number, lines, offsets)
    return Block(lines, offsets, progress, start)


def _spans(data: Any, part: memoryview, start: int, seen: dict[bytes, int] | None) -> list[tuple[int, int]]:
    """Return the merged spans around all hits; kinds of lines seen often enough are left out."""
    spans: list[tuple[int, int]] = []
    end = start + len(part)
    long = _LongLine(0, 0, is_folded=False)

    def hit(where: int, last: int) -> int:
        """Add the span of a literal; skip the rest of its line, or the part of a long line read with it."""
        nonlocal long
        at, stop = start + where, _line_end(data, start + last - 1, min(end, start + where + MAX_LINE))
        if seen is None or _is_new(data[at : min(stop, at + 200)], seen):
            floor = max(start, at - MAX_LINE)
            low = data.rfind(b"\n", floor, at)
            if at >= long.end and (low < 0 or stop - at == MAX_LINE):
                long = _long_line(data, at, start, end)
                if long.is_folded:
                    _join(spans, max(start, long.start - BEFORE), min(end, long.end + AFTER))
                    return long.end - start
            _join(spans, max(start, max(low, floor) - BEFORE), min(end, stop + AFTER))
        return stop - start

    find(part, LITERALS, hit)
    spans.sort()
    return _merged((_line_start(data, low, start, end), high) for low, high in _merged(spans))


class _LongLine(NamedTuple):
    """A long line, or as much of it as may be unfolded."""

    start: int
    end: int
    is_folded: bool


def _long_line(data: Any, at: int, start: int, end: int) -> _LongLine:
    low = max(start, at - MAX_FOLDED, data.rfind(b"\n", max(start, at - MAX_FOLDED), at) + 1)
    limit = min(end, low + MAX_FOLDED)
    high = data.find(b"\n", at, limit)
    high = limit if high < 0 else high
    return _LongLine(low, high, is_folded=may_be_folded(data[low:high]))


def _line_end(data: Any, at: int, stop: int) -> int:
    """Return the end of a line, at a line feed or a carriage return."""
    for mark in (b"\n", b"\r"):
        found = data.find(mark, at, stop)
        stop = stop if found < 0 else found
    return stop


def _is_new(line: bytes, seen: dict[bytes, int]) -> bool:
    """Count a line by its text without digits; return whether this kind was rarely read before."""
    kind = line.translate(None, b"0123456789")
    count = seen.get(kind, 0)
    if count >= MAX_SEEN:
        return False
    if len(seen) > MAX_KINDS:
        seen.clear()
    seen[kind] = count + 1
    return True


def _line_start(data: Any, low: int, start: int, end: int) -> int:
    """Move to the start of a line, unless lines are long."""
    found = data.find(b"\n", low, min(end, low + BEFORE))
    return found + 1 if low > start and found >= 0 else low


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge spans that touch."""
    joined: list[tuple[int, int]] = []
    for low, high in spans:
        _join(joined, low, high)
    return joined


def _join(joined: list[tuple[int, int]], low: int, high: int) -> None:
    """Append a span, or extend the last one if they touch."""
    if joined and joined[-1][0] <= low <= joined[-1][1]:
        joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
    else:
        joined.append((low, high))


def _read_span(raw: bytes, at: int, number: int, lines: list[Line], offsets: list[int]) -> None:
    """Clean the lines of one span; of a line with many carriage returns only the parts that may matter."""
    for part in raw.split(b"\n"):
        segments = part.split(b"\r") if b"\r" in part else [part]
        where = at
        for position, segment in enumerate(segments):
            few = len(segments) <= MAX_SEGMENTS or position >= len(segments) - 3
            if segment and (few or any_of(LITERALS).search(segment) is not None):
                found = clean(segment, number)
                lines += found
                offsets += [where] * len(found)
            elif len(segments) == 1:
                lines.append(Line(number, "", "", is_mild=False))
                offsets.append(where)
            where += len(segment) + 1
        at += len(part) + 1
        number += 1


def _steps(data: Any, part: memoryview, start: int) -> list[int]:
    """Return the offsets of steps that were not printed before, except those of the W&B summary."""
    seen: set[bytes] = set()
    steps = []
    end = start + len(part)

    def hit(where: int, last: int) -> int:
        at = start + where
        found = _STEP.match(data, at, min(end, at + MAX_STEP))
        if found is None:
            return last
        digits = 3 if data[at : at + 1] == b"%" else 0
        text = data[max(start, at - digits) : found.end()]
        before = data[max(start, at - 40) : at].rpartition(b"\n")[2]
        if text not in seen and b"wandb" not in before:
            seen.add(text)
            steps.append(where)
        return found.end() - start

    find(part, PROGRESS, hit)
    return sorted(steps)
