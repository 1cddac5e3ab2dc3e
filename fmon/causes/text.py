# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Clean the lines of a log: remove colors, timestamps, rank and pid prefixes; unfold lines that hold several.

Every pattern here is anchored or begins with a fixed character, and is possessive or bounded:
the time is linear in the length of the text, whatever it contains.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fmon.causes.folded import MAX_FOLDED, may_be_folded, record_of, unfolded
from fmon.log_text import plain

MAX_LINE = 4000
"""Longest part of a line that is used; of a longer one both ends are kept."""

_BAR = re.compile(r"^[^|]{0,200}?\d{1,3}%\|[^|]{0,400}+\|[^\[\n]{0,80}+\[[^\]]{0,300}+\]\s*+")
_STREAM = re.compile(
    r"\s?(?:"
    r"\((?P<sky>[^()=]{0,200}?[ ,]{0,2}(?:rank=\d{1,7}, ?)?pid=\d{1,9}(?:,? ?ip=[\w.:-]{1,64})?)\) ?"
    r"|\((?:raylet|autoscaler|gcs_server)(?:,? ?ip=[\w.:-]{1,64})?\) ?"
    r"|\[(?P<rank>rank:? ?\d{1,6}|default\d{1,6}|Rank \d{1,6})\]:? ?"
    r"|\[(?P<mpi>\d{1,5},\d{1,5})\]<std(?:err|out)>: ?"
    r"|\[(?P<pid>\d{2,8})\] (?=\[)"
    r"|(?P<srun>\d{1,5}): (?=\S|\s{2})"
    r"|(?P<pdsh>(?:worker|node|host|rank)[-_]?\d{1,5}): "
    r")",
)
_STAMP = re.compile(
    r"(?:"
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?(?: std(?:out|err) [FP])?[ :,|-]{0,3}"
    r"|\[?\d\d/\d\d/\d{2,4} \d\d:\d\d:\d\d(?:[.,]\d{1,6})?\]?[ :,|-]{0,3}"
    r"|[IWED] \d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? (?:[\w./-]{1,80}:\d{1,6}\])? ?"
    r"|[IWEF]\d{4} \d\d:\d\d:[\d.]{2,20}\s{1,4}\d{1,9} [\w./-]{1,80}:\d{1,6}\] ?"
    r"|\[?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d(?: \w{1,5})? \d{4}\]? ?"
    r"|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d [\w.-]{1,80} (?=kernel:|\w{1,40}\[\d)"
    r"|\[\s{0,8}\d{1,9}\.\d{3,9}\] "
    r"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,6})?\]?[ :|-]{1,3}"
    r")"
)
_MILD = re.compile(
    r"(?:^|[\s|:\[(])(?:WARNING|WARN|warn|warning|Warning|INFO|DEBUG|NOTE|TRACE|info|debug)(?=[\s|:\])]|$)"
    r"|\b[A-Z]\w{2,40}Warning\b"
)
_HARSH = re.compile(r"(?:^|[\s|:\[(])(?:ERROR|CRITICAL|FATAL|Error|error|fatal|Fatal|SEVERE)(?=[\s|:\])]|$)")
_NCCL_LEVEL = re.compile(r"\bNCCL (?:INFO|TRACE)\b")


class Line(NamedTuple):
    """One line, or the part of it between two carriage returns.

    Attributes
    ----------
    number
        Line number in the text as passed, from 1.
    text
        The cleaned text; the indent is kept.
    stream
        Rank or process that printed it; "" if unknown.
    is_mild
        A warning, a hint or less.
    """

    number: int
    text: str
    stream: str
    is_mild: bool


def clip(raw: bytes, most: int = MAX_LINE) -> bytes:
    """Keep both ends of a long line."""
    if len(raw) <= most:
        return raw
    half = most // 2
    return raw[:half] + b" ... " + raw[-half:]


def clean(raw: bytes, number: int) -> list[Line]:
    """Clean the raw bytes of one line.

    Parameters
    ----------
    raw
        The bytes without a line feed; at most ``MAX_LINE`` of them are used, of a line that is unfolded
        ``MAX_FOLDED``.
    number
        Its line number.

    Returns
    -------
    list of Line
        One, or those that the line holds: the messages and the traceback of a JSON log record, the lines of
        a repr.
    """
    if may_be_folded(raw):
        whole = _cleaned(clip(raw, MAX_FOLDED), number)
        parts = [_parts(line) for line in whole]
        if any(parts):
            return [each for line, found in zip(whole, parts, strict=True) for each in found or [line]]
    return _cleaned(clip(raw), number)


def _cleaned(raw: bytes, number: int) -> list[Line]:
    """Return the lines of a raw line, which may have line ends other than the line feed."""
    text = plain(raw.decode("utf-8", "replace"))
    if "\n" in text or "\r" in text:
        return [_line(each, number) for each in text.splitlines()]
    return [_line(text, number)]


def _parts(line: Line) -> list[Line]:
    """Return the lines that a line holds; none if it holds no others."""
    record = record_of(line.text)
    if record is None:
        texts = unfolded(line.text)
        return [_part(text, line) for text in texts] if len(texts) > 1 else []
    if record.rank:
        line = line._replace(stream=record.rank)
    parts = [_part(each, line) for text in record.lines for each in unfolded(text)]
    return parts if record.is_mild is None else [part._replace(is_mild=record.is_mild) for part in parts]


def _part(text: str, whole: Line) -> Line:
    line = _line(text[:MAX_LINE], whole.number)
    return line._replace(stream=line.stream or whole.stream)


def _line(text: str, number: int) -> Line:
    """Remove what stands before the text of a line."""
    stream = ""
    for _ in range(4):
        found = _STREAM.match(text)
        if found is None or not found.group():
            stamp = _STAMP.match(text)
            if stamp is None:
                break
            text = text[stamp.end() :]
            continue
        stream = next((each for each in found.groups() if each), stream)
        text = text[found.end() :]
    if "%|" in text:
        text = _without_bar(text)
    return Line(number, text.rstrip(), stream, is_mild(text))


def is_mild(text: str) -> bool:
    """Return whether a line calls itself a warning or less in its first words."""
    head = text[:160]
    if _NCCL_LEVEL.search(head):
        return True
    mild = _MILD.search(head)
    if mild is None:
        return False
    harsh = _HARSH.search(head)
    return harsh is None or mild.start() < harsh.start()


def _without_bar(text: str) -> str:
    """Remove a progress bar that is followed by other text."""
    bar = _BAR.match(text)
    return text[bar.end() :] if bar is not None and bar.end() < len(text) else text
