"""Excerpts of a stored log around the line that decided; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fmon.sky.log_parts import is_mark
from fmon.sky.reader import LogRequest
from fmon.store.job_logs import load_log
from fmon.text import cut, visible

if TYPE_CHECKING:
    from fmon.store.folder import Store

MAX_AROUND = 6
"""Lines shown before and after the line that decided."""

MAX_CHARACTERS = 2_000
"""Length of one line; the report page shows less."""


class Evidence(NamedTuple):
    """The evidence of a cause: columns of views ``cause`` and ``issue``.

    Attributes
    ----------
    text
        The line, or part of it; None = there is none.
    source
        Where it was found: log, controller_log, failure_reason or status.
    job_key, line
        The job, and the number of the line in its log, from 1.
    """

    text: str | None
    source: str | None
    job_key: int
    line: int | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a log, numbered from 1; the marked line decided."""

    number: int
    text: str
    is_marked: bool


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Lines of a log around its evidence.

    Attributes
    ----------
    job_id
        The job whose log it is.
    is_controller
        It is the log of the job's controller.
    line_count
        Number of lines of the entire stored log.
    """

    job_id: int
    is_controller: bool
    line_count: int
    lines: tuple[Line, ...]


def excerpt_of(text: str, *, job_id: int, is_controller: bool, number: int, evidence: str) -> Excerpt | None:
    """Extract the lines around the evidence from a log.

    Parameters
    ----------
    text
        The stored log; lines end at a line feed.
    number
        Number of the line that decided, from 1.
    evidence
        The part of that line that decided: the beginning of a very long line is not enough.

    Returns
    -------
    Excerpt or None
        None if the log has no such line (it was stored again since).
    """
    lines = text.rstrip().split("\n")
    if not 1 <= number <= len(lines):
        return None
    first, last = _within_part(lines, number)
    return Excerpt(
        job_id=job_id,
        is_controller=is_controller,
        line_count=len(lines),
        lines=tuple(
            Line(
                number=each,
                text=_evident(lines[each - 1], evidence) if each == number else _printed(lines[each - 1]),
                is_marked=each == number,
            )
            for each in range(first, last + 1)
        ),
    )


def _within_part(lines: list[str], number: int) -> tuple[int, int]:
    """Return the first and the last line to show: around a line, but not of another task of the job."""
    first, last = max(1, number - MAX_AROUND), min(len(lines), number + MAX_AROUND)
    marks = [each for each in range(first, last + 1) if is_mark(lines[each - 1])]
    return max([first, *(each for each in marks if each < number)]), min(
        [last, *(each for each in marks if each > number)]
    )


def narrowed(excerpt: Excerpt, *, around: int, characters: int) -> list[dict[str, object]]:
    """Return the lines that the page has room for, escaped and truncated."""
    marked = next(line.number for line in excerpt.lines if line.is_marked)
    return [
        {
            "number": line.number,
            "text": cut(line.text, characters) if not line.is_marked else visible(line.text[:characters]),
            "is_marked": line.is_marked,
        }
        for line in excerpt.lines
        if abs(line.number - marked) <= around
    ]


def _printed(line: str) -> str:
    """Return what a terminal would show of a line: progress bars overwrite themselves."""
    parts = [part for part in line.split("\r") if part.strip()]
    return parts[-1][:MAX_CHARACTERS] if parts else ""


def _evident(line: str, evidence: str) -> str:
    """Return the line that decided, or the part that did if the line is long or has several parts."""
    is_plain = "\r" not in line and len(line) <= MAX_CHARACTERS
    return line if is_plain or not evidence else evidence[:MAX_CHARACTERS]


def excerpt(store: Store, evidence: Evidence) -> Excerpt | None:
    """Read the lines around the evidence of a cause.

    Parameters
    ----------
    store
        The store of the experiment.
    evidence
        The evidence of the cause.

    Returns
    -------
    Excerpt or None
        None if the evidence is in no log, or the log is not stored.
    """
    if evidence.source not in ("log", "controller_log") or evidence.line is None:
        return None
    asked = LogRequest.of(evidence.job_key, is_controller=evidence.source == "controller_log")
    text = load_log(store, asked.file_name)
    if text is None:
        return None
    return excerpt_of(
        text,
        job_id=asked.job_id,
        is_controller=asked.is_controller,
        number=evidence.line,
        evidence=evidence.text or "",
    )
