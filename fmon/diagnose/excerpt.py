"""The lines of a stored log around the one that decided; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fmon.sky.reader import LogRequest
from fmon.store.job_logs import load_log
from fmon.text import cut, visible

if TYPE_CHECKING:
    from fmon.store.folder import Store

MOST_AROUND = 6
MOST_CHARACTERS = 2_000
"""Of one line; a page shows less."""


class Evidence(NamedTuple):
    """What decided a cause: columns of views ``cause`` and ``issue``.

    Attributes
    ----------
    text
        The line, or the part of it; None = there is none.
    source
        Where it was found: log, controller_log, failure_reason or status.
    job_id, line
        Of which job, and its number in the log, from 1.
    """

    text: str | None
    source: str | None
    job_id: int
    line: int | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a log, numbered from 1; the marked one decided."""

    number: int
    text: str
    is_marked: bool


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Lines of a log around its evidence.

    Attributes
    ----------
    job_id
        Whose log it is.
    is_controller
        It is the log of the job's controller.
    line_count
        Lines of the whole stored log.
    """

    job_id: int
    is_controller: bool
    line_count: int
    lines: tuple[Line, ...]


def excerpt_of(text: str, *, job_id: int, is_controller: bool, number: int, evidence: str) -> Excerpt | None:
    """Cut the lines around the evidence out of a log.

    Parameters
    ----------
    text
        The stored log; lines end at a line feed.
    number
        Of the line that decided, from 1.
    evidence
        What of that line decided: of a very long one its beginning says nothing.

    Returns
    -------
    Excerpt or None
        None where the log has no such line (it was stored again since).
    """
    lines = text.rstrip().split("\n")
    if not 1 <= number <= len(lines):
        return None
    first, last = max(1, number - MOST_AROUND), min(len(lines), number + MOST_AROUND)
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


def narrowed(excerpt: Excerpt, *, around: int, characters: int) -> list[dict[str, object]]:
    """Give the lines that there is room for, visible and cut, as the page shows them."""
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
    """Give what a terminal would show of a line: progress bars write over themselves."""
    parts = [part for part in line.split("\r") if part.strip()]
    return parts[-1][:MOST_CHARACTERS] if parts else ""


def _evident(line: str, evidence: str) -> str:
    """Give the line that decided; where it is long, or has several parts, the part that did."""
    is_plain = "\r" not in line and len(line) <= MOST_CHARACTERS
    return line if is_plain or not evidence else evidence[:MOST_CHARACTERS]


def excerpt(store: Store, evidence: Evidence) -> Excerpt | None:
    """Read the lines around the evidence of a cause.

    Parameters
    ----------
    store
        The experiment.
    evidence
        Of the cause.

    Returns
    -------
    Excerpt or None
        None where it stood in no log, or the log is not stored.
    """
    if evidence.source not in ("log", "controller_log") or evidence.line is None:
        return None
    asked = LogRequest(evidence.job_id, is_controller=evidence.source == "controller_log")
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
