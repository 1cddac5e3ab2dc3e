"""The rules of patterns.toml and of the user, compiled for matching."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fmon.causes.tracebacks import Frame
    from fmon.model import Pattern

MAX_TEXT = 3000
TIERS = {
    # points of a line, points of an exception, confidence
    "scheduler": (60, 44, 0.95),
    "signal": (50, 46, 0.85),
    "hard": (48, 48, 0.95),
    "error": (32, 40, 0.85),
    "fatal": (30, 36, 0.8),
    "symptom": (20, 20, 0.6),
    "crash": (18, 18, 0.6),
    "weak": (10, 10, 0.3),
    "wrapper": (0, 0, 0.1),
}
"""How far a rule is trusted: a statement of the scheduler beats any exception, an exception beats a fatal
line, and a symptom, which mostly follows from another error, only counts where there is no other."""
LAST_IN_LIBRARY = "LAST_IN_LIBRARY"
AT_IMPORT = "AT_IMPORT"
IN_CONSTRUCTOR = "IN_CONSTRUCTOR"
LIBRARY_MODULE = "LIBRARY_MODULE"
_PASSES_ON = re.compile(
    r"^(?:__getattr\w*__|_?(?:wrapped_)?call_impl|_wrapped_call_impl|__call__|wrapper|wrapped|inner|decorate_\w+|_fn|apply|call|fetch)$"
)
"""Functions that only pass a call on: their caller made it."""
_DISPATCHER = re.compile(
    r"[/\\](?:hydra|jsonargparse|fire|click|typer|multiprocessing|concurrent|torch[/\\](?:nn[/\\]modules|utils[/\\]data))[/\\]"
    r"|(?:runpy|functools|threading|cli)\.py$"
)
"""Libraries that call functions of the project."""
_CONSTRUCTOR = re.compile(
    r"^(?:__init__|__post_init__|__new__|_?(?:validate|check|verify)\w*|(?:create|build|make)_\w+)$"
)
_MODULE = re.compile(r"module '([\w.]{1,200})' has no attribute")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule."""

    id: str
    category: str
    subcategory: str | None
    regex: str
    on: str
    tier: str
    veto: Any
    mild: bool
    is_default: bool
    confidence: float
    frames: Any
    only_last: bool = False
    is_summary: bool = False

    @property
    def kind(self) -> str:
        """The category, with the subcategory if there is one."""
        return f"{self.category}/{self.subcategory}" if self.subcategory else self.category

    @property
    def is_general(self) -> bool:
        """Whether the rule only goes by class or frames, or matches a wrapper or a summary."""
        return self.is_default or self.is_summary or self.tier == "wrapper" or self.frames is not None

    @property
    def strength(self) -> int:
        """How specific the rule is, compared with those of other exceptions in the same chain."""
        by_tier = {"scheduler": 6, "signal": 6, "hard": 7, "symptom": 2, "crash": 1, "weak": 1, "wrapper": 0}
        return 2 if self.is_summary else by_tier.get(self.tier, 3 if self.is_default else 5)


class RuleSet:
    """An ordered list of rules that are matched all at once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        import re2  # heavy, and only failed jobs need it

        self.rules = list(rules)
        options = re2.Options()
        # Latin-1: as UTF-8 each "." is a dozen instructions, and the rules take three times the memory.
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        options.log_errors = False
        # A filter searches for the words each rule needs before it tries the rule: 20 x as fast as a set.
        self._filter = re2.Filter()
        for rule in self.rules:
            self._filter.Add(rule.regex.encode(), options)
        self._filter.Compile()

    def matching(
        self, text: str, *, is_mild: bool = False, frames: Sequence[Frame] | None = None
    ) -> Iterator[Rule]:
        """Yield the rules that match, in their order.

        Parameters
        ----------
        text
            A cleaned line, or an exception with its message.
        is_mild
            The line calls itself a warning or less.
        frames
            The frames of the exception; None for a line.
        """
        other = "exception" if frames is None else "line"
        text = text[:MAX_TEXT].replace("\n", " ")
        for number in sorted(self._filter.Match(text.encode("utf-8", "replace")) or ()):
            rule: Rule = self.rules[number]
            if rule.on == other or (is_mild and not rule.mild):
                continue
            if rule.veto is not None and rule.veto.search(text):
                continue
            if rule.frames is not None and not _frames_fit(rule, text, frames or ()):
                continue
            yield rule


def _frames_fit(rule: Rule, text: str, frames: Sequence[Frame]) -> bool:
    """Return whether the frames of an exception are those the rule requires."""
    if rule.frames == LAST_IN_LIBRARY:
        called = [f for f in frames if not (_PASSES_ON.search(f.function) or _DISPATCHER.search(f.path))]
        return bool(called) and not called[-1].is_project
    if rule.frames == AT_IMPORT:
        return _is_at_import(frames)
    if rule.frames == IN_CONSTRUCTOR:
        below = takewhile(lambda frame: not frame.is_project, reversed(frames))
        return any(_CONSTRUCTOR.match(frame.function) for frame in below)
    if rule.frames == LIBRARY_MODULE:
        return not _is_own_module(text, frames)
    candidates = frames[-1:] if rule.only_last else frames
    return any(rule.frames.search(f"{frame.path}:{frame.function}") for frame in candidates)


def _is_at_import(frames: Sequence[Frame]) -> bool:
    """Return whether a library failed while it was imported, with no frame of the project inside it."""
    for before, frame in zip(reversed(frames[:-1]), reversed(frames[1:]), strict=True):
        if frame.is_project:
            return False
        if frame.function == "<module>" and "site-packages" in frame.path:
            return not before.path.endswith(("runpy.py", "<frozen runpy>"))
    return False


def _is_own_module(text: str, frames: Sequence[Frame]) -> bool:
    """Return whether the module that an exception names belongs to the project."""
    named = _MODULE.search(text)
    if named is None:
        return False
    own = {part for frame in frames if frame.is_project for part in re.split(r"[/\\\\.]", frame.path)}
    return named.group(1).partition(".")[0] in own


@cache
def built_in() -> RuleSet:
    """Load the rules for logs."""
    return _load("rules")


@cache
def built_in_for_reasons() -> RuleSet:
    """Load the rules for the reasons that SkyPilot gives."""
    return _load("reasons")


def _load(table: str) -> RuleSet:
    """Load the rules in one of the tables of patterns.toml."""
    import re2

    data = tomllib.loads(files("fmon.causes").joinpath("patterns.toml").read_text(encoding="utf-8"))
    return RuleSet([_rule(raw, re2) for raw in data[table]])


def _rule(raw: dict[str, Any], re2: Any) -> Rule:
    category, _, subcategory = raw["cause"].partition("/")
    tier = raw.get("tier", "error")
    frames = raw.get("last_frame", raw.get("frames"))
    return Rule(
        only_last="last_frame" in raw,
        id=raw["id"],
        category=category,
        subcategory=subcategory or None,
        regex=joined_expressions(match for match, _example in raw["any"]),
        on=raw.get("on", "any"),
        tier=tier,
        veto=re2.compile(joined_expressions(raw["veto"])) if "veto" in raw else None,
        mild=raw.get("mild", False),
        is_default=raw.get("default", False),
        is_summary=raw.get("summary", False),
        confidence=raw.get("confidence", TIERS[tier][2]),
        frames=re2.compile(joined_expressions(frames)) if isinstance(frames, list) else frames,
    )


def joined_expressions(expressions: Iterable[str]) -> str:
    """Join expressions into one that matches where any of them does; each keeps its own flags."""
    return "|".join(f"(?:{each})" for each in expressions)


def own_rules(patterns: Sequence[Pattern]) -> RuleSet | None:
    """Turn the patterns of the user into rules, which come before built-in ones of the same tier."""
    if not patterns:
        return None
    import re2

    return RuleSet(
        [
            Rule(
                id=f"pattern:{pattern.name}",
                category=pattern.category,
                subcategory=pattern.subcategory,
                regex=pattern.regex,
                on="any",
                tier="signal",
                veto=re2.compile(pattern.veto) if pattern.veto else None,
                mild=True,
                is_default=False,
                confidence=pattern.confidence,
                frames=None,
            )
            for pattern in patterns
        ]
    )
