# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Parse tracebacks into chains of exceptions with their frames.

Truncated tracebacks are parsed too (only frames, only the last line), and those of pytest and Jupyter, and
those that several processes print at once, as long as each line names its process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fmon.causes.text import Line

Relation = Literal["start", "context", "cause", "inner"]
"""Relation to the preceding exception: none, raised while handling it, raised from it, wrapped by it."""

MAX_MESSAGE_LINES = 10
MAX_FOREIGN_LINES = 6
MAX_CHAIN = 40
MAX_MARGIN = 120

_FRAME = re.compile(r'\s*File "([^"]{1,1000})", line \d{1,9}(?:, in (.{1,200}))?')
_RICH_FRAME = re.compile(r"│ (\S{1,500}\.py):\d{1,9} in ([\w<>.]{1,200})\s*│?$")
_JUPYTER_FRAME = re.compile(r"File ([^\s:]{1,500}):\d{1,9}, in ([\w<>.]{1,200})")
_OTHER_FRAMES = {"F": _JUPYTER_FRAME, "│": _RICH_FRAME}
_CLASS = r"(?:[A-Za-z_]\w{0,80}\.){0,12}[A-Za-z_]\w{0,100}(?:\([\w.]{1,100}\))?"
_FINAL = re.compile(rf"({_CLASS})(?::\s?(.*))?$", re.DOTALL)
_NAMED = (
    r"(?:[A-Za-z_]\w{0,80}\.){0,12}[A-Z]\w{0,80}"
    r"(?:Error|Exception|Interrupt|Failure|Failed|Timeout|Expired|Err|Exit)(?:\([\w.]{1,100}\))?"
)
_BARE = re.compile(
    rf"(?:E\s{{1,12}}|[>|]\s{{0,4}}|(?:ERROR|FAILED) \S{{1,200}} - |(?:\S{{1,60}} )?\S{{1,60}}\[\d{{1,8}}\]: |.{{0,120}}?(?:ERROR|CRITICAL|FATAL|error|Error)\b[^A-Za-z]{{1,8}})?"
    rf"({_NAMED}|SystemExit|KeyboardInterrupt|StopIteration|[a-z]\w{{0,40}}(?:\.\w{{1,60}}){{1,6}}\.(?:NoSuchKey|NotFound|Forbidden|BadZipFile|timeout|error))"
    r"(?::\s?(.*)|\s*)$",
    re.DOTALL,
)
_HEADER = "Traceback (most recent call last)"
_LINKS: tuple[tuple[str, Relation], ...] = (
    ("During handling of the above exception, another exception occurred", "context"),
    ("The above exception was the direct cause of the following exception", "cause"),
    ("Original Traceback (most recent call last)", "inner"),
    ("terminated with the following error", "inner"),
)
_IGNORED = re.compile(
    r"Exception ignored in|Task exception was never retrieved|Future exception was never|--- Logging error ---"
)
_LIBRARY = re.compile(
    r"site-packages[/\\]|dist-packages[/\\]|[/\\]lib(?:64)?[/\\]python\d|^<|[/\\]python\d\.\d+[/\\](?!.*[/\\]projects[/\\])"
    r"|^/usr/(?:local/)?(?:lib|bin)/|[/\\]envs[/\\][^/\\]+[/\\]bin[/\\]|importlib[/\\]_bootstrap"
)
_DIGITS = re.compile(r"\d")
_STAMPED = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\d[ T]|wandb: |srun: |slurmstepd: |\[W|\[I|\[E|INFO|WARNING|DEBUG|ERROR)"
)


class Frame(NamedTuple):
    """One frame of a traceback."""

    path: str
    function: str

    @property
    def is_project(self) -> bool:
        """Whether the file belongs to the project, not to a library."""
        return _LIBRARY.search(self.path) is None

    @property
    def name(self) -> str:
        """File name and function, the same on every machine."""
        base = self.path.replace("\\", "/").rpartition("/")[2]
        return f"{base}:{self.function}"


@dataclass
class Raised:
    """One exception of a chain."""

    number: int
    relation: Relation
    cls: str = ""
    message: str = ""
    frames: list[Frame] = field(default_factory=list)
    index: int = 0
    """Index, in the lines passed, of the line that names it."""

    @property
    def short_class(self) -> str:
        """The class without modules; of ray's RayTaskError(X), RayTaskError."""
        return self.cls.partition("(")[0].rpartition(".")[2]

    @property
    def text(self) -> str:
        """Class and message, as Python prints them."""
        return f"{self.cls}: {self.message}" if self.message else self.cls


@dataclass
class Chain:
    """Exceptions that belong together, in the order they were printed."""

    raised: list[Raised]
    stream: str
    is_ignored: bool = False
    is_aside: bool = False
    """It ended a helper thread, not the program."""
    end: int = 0
    """Index, in the lines passed, of its last line."""


class _Reader:
    """Reads the lines of one stream."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.chains: list[Chain] = []
        self.open: Raised | None = None
        self.relation: Relation | None = None
        self.message: Raised | None = None
        self.message_lines = 0
        self.foreign = 0
        self.ignored = False
        self.aside = False
        self.margin = ""

    def read(self, index: int, line: Line) -> bool:
        """Parse one line; return whether it was part of a traceback."""
        if _HEADER in line.text:
            self._header(index, line)
            return True
        line = self._unboxed(line)
        text = line.text
        for words, relation in _LINKS:
            if words in text:
                self.relation, self.message = relation, None
                return True
        frame = _FRAME.match(text) or _OTHER_FRAMES.get(text[:1], _FRAME).match(text)
        if frame is not None:
            self._frame(line, Frame(frame.group(1), (frame.group(2) or "").strip()))
            return True
        if self.open is not None:
            return self._inside(index, line)
        return self._outside(index, line)

    def _header(self, index: int, line: Line) -> None:
        before, _, _ = line.text.partition(_HEADER)
        self.margin = _DIGITS.sub("0", before.removesuffix("Original "))[:MAX_MARGIN]
        relation: Relation = self.relation or ("inner" if "Original " in before else "start")
        if relation == "start" and self._wraps(index):
            relation = "inner"
        self.open, self.relation, self.message = Raised(line.number, relation), None, None
        self.foreign = 0

    def _unboxed(self, line: Line) -> Line:
        """Remove the common prefix of the lines of a forwarded traceback: indent, box, log prefix."""
        size = len(self.margin)
        if not size or (self.open is None and self.message is None):
            return line
        if _DIGITS.sub("0", line.text[:size]).rstrip() != self.margin.rstrip():
            return line
        return line._replace(text=line.text[size:])

    def _wraps(self, index: int) -> bool:
        """Return whether the exception just printed announces the traceback that follows."""
        if not self.chains or index - self.chains[-1].end > 4:
            return False
        last = self.chains[-1].raised[-1]
        return "Caught " in last.message or last.short_class in (
            "ProcessRaisedException",
            "RayTaskError",
            "RemoteTraceback",
            "RemoteError",
        )

    def _frame(self, line: Line, frame: Frame) -> None:
        if self.open is None:
            wraps = bool(self.chains) and self.message is not None and self._wraps(self.chains[-1].end)
            self.open = Raised(line.number, self.relation or ("inner" if wraps else "start"))
            self.relation = self.message = None
        if len(self.open.frames) < 200:
            self.open.frames.append(frame)
        self.foreign = 0

    def _inside(self, index: int, line: Line) -> bool:
        text = line.text
        assert self.open is not None
        if not text.strip() or text[0] in " \t-|^~│╰":
            return True
        found = _FINAL.match(text)
        if found is not None and _looks_raised(found.group(1), found.group(2)):
            self._close(index, line, found.group(1), found.group(2) or "")
            return True
        self.foreign += 1
        if self.foreign > MAX_FOREIGN_LINES:
            self.open = None
        return False

    def _outside(self, index: int, line: Line) -> bool:
        text = line.text
        if _IGNORED.search(text):
            self.ignored = True
            return True
        if text.startswith("Exception in thread"):
            self.aside, self.message = True, None
            return True
        if self.message is not None and self._continues(index, line):
            return True
        found = _BARE.match(text.lstrip())
        if found is None or line.is_mild:
            return False
        self.open = Raised(line.number, self.relation or "start")
        self._close(index, line, found.group(1), found.group(2) or "")
        return True

    def _continues(self, index: int, line: Line) -> bool:
        """Add a line to the message of the exception just printed."""
        text = line.text
        assert self.message is not None
        self.message_lines += 1
        stops = (
            not text.strip() or line.is_mild or self.message_lines > MAX_MESSAGE_LINES or _STAMPED.match(text)
        )
        if stops or "%|" in text or _BARE.match(text):
            self.message = None
            return False
        self.message.message += "\n" + text
        self.chains[-1].end = index
        return True

    def _close(self, index: int, line: Line, cls: str, message: str) -> None:
        assert self.open is not None
        done, self.open = self.open, None
        done.cls, done.message, done.number, done.index = cls, message.strip(), line.number, index
        linked = done.relation != "start" and self.chains and len(self.chains[-1].raised) < MAX_CHAIN
        if linked:
            self.chains[-1].raised.append(done)
        else:
            self.chains.append(Chain([done], self.stream, is_ignored=self.ignored, is_aside=self.aside))
        self.ignored, self.aside, self.relation = False, False, None
        self.chains[-1].end = index
        self.message, self.message_lines = done, 0


def _looks_raised(cls: str, message: str | None) -> bool:
    """Return whether a line after the frames of a traceback is its exception."""
    last = cls.partition("(")[0].rpartition(".")[2]
    return last[:1].isupper() or ("." in cls and (message is not None or last in ("timeout", "error")))


def read_tracebacks(lines: Sequence[Line]) -> tuple[list[Chain], set[int]]:
    """Find the exceptions in some lines.

    Parameters
    ----------
    lines
        Cleaned lines in the order of the log.

    Returns
    -------
    list[Chain]
        The chains in the order they ended.
    set[int]
        The indexes of the lines that are part of a chain.
    """
    readers: dict[str, _Reader] = {}
    used: set[int] = set()
    for index, line in enumerate(lines):
        reader = readers.setdefault(line.stream, _Reader(line.stream))
        if reader.read(index, line):
            used.add(index)
    chains = [chain for reader in readers.values() for chain in reader.chains]
    return sorted(chains, key=lambda chain: chain.end), used


def project_files(chains: Iterable[Chain]) -> list[str]:
    """List the project files in the frames of some chains, deepest first, without duplicates."""
    found: dict[str, None] = {}
    for chain in chains:
        for raised in reversed(chain.raised):
            for frame in reversed(raised.frames):
                if frame.is_project:
                    found.setdefault(frame.path)
    return list(found)
