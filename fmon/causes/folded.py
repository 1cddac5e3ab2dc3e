r"""Unfold a line that holds several: a JSON log record, or the repr of bytes or of a traceback.

Read are the records of structlog, loguru, python-json-logger, ray, pino, zap, zerolog, logrus, slog, Docker
and the clouds. A program that prints the output of another one often prints its repr, with ``\n`` for each
line end.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.log_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FOLDED = 64 << 10
"""Longest line that is unfolded."""
MAX_LINES = 2000
MAX_BEFORE = 200
"""Characters before a record: a prefix of the program or of what forwards its output."""

_MESSAGES = ("message", "msg", "event", "text", "log", "body", "@m", "@mt", "textPayload", "short_message")
_FAULTS = (
    "error", "err", "errorMessage", "exception", "exc", "exc_info", "exc_text", "traceback", "stack",
    "stack_trace", "stderr", "stackTrace", "stacktrace", "errorVerbose", "full_message", "@x",
    "error.message", "error.stack_trace", "exception.message", "exception.stacktrace",
)  # fmt: skip
_LEVELS = (
    "level",
    "levelname",
    "severity",
    "log.level",
    "log_level",
    "severity_text",
    "lvl",
    "@l",
    "levelno",
)
_NESTED = ("record", "jsonPayload", "attributes", "body", "fields", "extra", "data")
_MILD = frozenset(
    {
        "trace", "debug", "verbose", "info", "information", "informational", "notice",
        "success", "note", "warn", "warning", "default",
    }
)  # fmt: skip
_HARSH = frozenset(
    {
        "error", "err", "severe", "critical", "crit", "fatal", "panic",
        "dpanic", "alert", "emerg", "emergency",
    }
)  # fmt: skip
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

TRACEBACK = "Traceback (most recent call last):"

_BYTES = re.compile(r"""\b[bB](?:'((?:[^'\\]++|\\.)*+)(?:'|$)|"((?:[^"\\]++|\\.)*+)(?:"|$))""", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):(\\{1,3}n)")
QUOTES = "'\""
BRACKETS = QUOTES + ")]}>,;. "
"""What may stand behind a repr."""


class Record(NamedTuple):
    """The lines of a log record, and whether its level is a warning or less; None = it has no level."""

    lines: list[str]
    is_mild: bool | None
    rank: str


def may_be_folded(raw: bytes) -> bool:
    """Return whether a line may have others in it; fast, and sometimes wrongly True."""
    return b"\\n" in raw or (b'":' in raw and raw.rstrip().endswith(b"}"))


def record_of(text: str) -> Record | None:
    """Read a line as a JSON log record; None if it is none.

    Parameters
    ----------
    text
        The line, whose prefix may be still there.

    Examples
    --------
    >>> record_of('{"event": "step failed", "level": "error", "exception": "KeyError: 1"}')
    Record(lines=['step failed', 'KeyError: 1'], is_mild=False, rank='')
    """
    start = text.find('{"', 0, MAX_BEFORE)
    if start < 0 or not text.endswith("}") or len(text) > MAX_FOLDED:
        return None
    try:
        fields = json.loads(text[start:])
    except (ValueError, RecursionError):
        return None
    texts: list[str] = []
    for each in _texts(fields):
        if each.strip() and not any(each.strip() in earlier for earlier in texts):
            texts.append(each)
    if not texts:
        return None
    lines = [line for each in texts for line in plain(each).splitlines()]
    return Record(lines[:MAX_LINES], _is_mild(fields), _rank(fields))


def _texts(fields: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the messages of a record, then its errors and tracebacks."""
    for name in _MESSAGES:
        if isinstance(value := fields.get(name), str):
            yield value
    if depth < 2:
        for name in _NESTED:
            if isinstance(value := fields.get(name), dict):
                yield from _texts(value, depth + 1)
    for name in _FAULTS:
        if (value := fields.get(name)) is not None:
            yield from _fault(value)
    # A program may name the field as it likes.
    yield from (value for value in fields.values() if isinstance(value, str) and TRACEBACK in value)


def _fault(value: Any) -> Iterator[str]:
    """Yield the text of an error, which loggers write as text, object, or list of lines or of exceptions."""
    match value:
        case str():
            yield value
        case [str(), *_]:
            lines = [each for each in value if isinstance(each, str)]
            yield "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
        case [{"exc_type": _}, *_]:
            yield _traceback(value)
        case {}:
            stacks = (value.get(name) for name in ("stack", "stack_trace", "stacktrace", "traceback"))
            stack = next((each for each in stacks if isinstance(each, (str, list)) and each), None)
            if stack is not None:
                yield from _fault(stack)
            cls, message = (
                next((each for name in names if isinstance(each := value.get(name), str)), "")
                for names in (("type", "name", "class", "kind"), ("message", "value", "msg", "reason"))
            )
            yield f"{cls}: {message}" if cls and message else cls or message


def _traceback(stacks: list[Any]) -> str:
    """Write structlog's list of exceptions, the last one first, as Python prints them."""
    parts = []
    for stack in reversed([each for each in stacks if isinstance(each, dict)]):
        frames = stack.get("frames")
        lines = ["Traceback (most recent call last):"]
        for frame in frames if isinstance(frames, list) else []:
            if isinstance(frame, dict):
                where = frame.get("filename"), frame.get("lineno"), frame.get("name")
                lines.append('  File "{}", line {}, in {}'.format(*where))
        lines.append(f"{stack.get('exc_type')}: {stack.get('exc_value')}\n")
        parts.append("\n".join(lines))
        parts.append(_CAUSE if stack.get("is_cause") else _CONTEXT)
    return "".join(parts[:-1])


def _is_mild(fields: dict[str, Any]) -> bool | None:
    """Return whether the level of a record is a warning or less; None if that is not known."""
    places = [fields, *(each for name in ("record", "log") if isinstance(each := fields.get(name), dict))]
    for place in places:
        for name in _LEVELS:
            level = place.get(name)
            if isinstance(level, dict):  # loguru
                level = level.get("name")
            if isinstance(level, str) and level.lower() in _MILD | _HARSH:
                return level.lower() in _MILD
            if isinstance(level, int) and not isinstance(level, bool):
                return _is_mild_number(level, fields)
    return None


def _is_mild_number(level: int, fields: dict[str, Any]) -> bool:
    """Return whether a numeric level is a warning or less: pino's and Python's mean different things."""
    if level < 10:
        return level > 3  # syslog, GELF: 3 is an error
    return level < (50 if "msg" in fields and "hostname" in fields else 40)


def _rank(fields: dict[str, Any]) -> str:
    rank = fields.get("rank")
    return f"rank{rank}" if isinstance(rank, int) else ""


def unfolded(text: str) -> list[str]:
    r"""Split a line at the line ends in the repr of bytes or of a traceback that it holds.

    Examples
    --------
    >>> unfolded(r"stderr: b'warning\nKeyError: 1\n'")
    ['stderr: warning', 'KeyError: 1']
    """
    if "\\n" not in text:
        return [text]
    lines = [text] if text.startswith("    ") else _without_bytes(text)  # a traceback shows lines of code
    if len(lines) == 1 and (found := _TRACEBACK.search(text)) is not None:
        lines = _at_line_ends(text, found[1])
    return lines[:MAX_LINES]


def _without_bytes(text: str) -> list[str]:
    """Replace each repr of bytes that has line ends with the bytes."""
    parts, end = [], 0
    for literal in _BYTES.finditer(text):
        inner = literal[1] if literal[1] is not None else literal[2]
        if "\\n" in inner:
            parts += [text[end : literal.start()], _bytes(inner)]
            end = literal.end()
    lines = ["".join(parts), text[end:]] if text[end:].strip(BRACKETS) else ["".join(parts)]
    return [line for each in lines for line in each.splitlines()] if end else [text]


def _bytes(inner: str) -> str:
    """Return the text that the inside of a repr of bytes stands for."""
    raw = _ESCAPE.sub(_unescaped, inner.encode("utf-8", "replace"))
    return plain(raw.decode("utf-8", "replace"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        return bytes.fromhex(found[1].decode())
    return _ESCAPED.get(found[2], found[2])


def _at_line_ends(text: str, line_end: str) -> list[str]:
    """Split a repr of text at its line ends, and drop what stands behind it."""
    slash = line_end[:-1]
    lines = [line.replace(f'{slash}"', '"').replace(f"{slash}'", "'") for line in text.split(line_end)]
    rest = lines[-1].lstrip()
    return lines[:-1] if not rest.strip(BRACKETS) or rest[0] in QUOTES else lines
