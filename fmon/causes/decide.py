# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Choose the cause from the events of a log."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fmon.causes.reason import without_names
from fmon.causes.rules import TIERS, Rule, RuleSet
from fmon.causes.text import Line
from fmon.causes.tracebacks import Chain, Raised, read_tracebacks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fmon.causes.scan import Block

AFTERWARDS = 22
"""Points of SkyPilot's closing line: the log is mostly more specific."""
FACT = 57
"""Least points of a statement of the scheduler in SkyPilot's reason: it beats a bare status."""
ENOUGH = 15
"""An event with fewer points decides nothing."""
DECISIVE = 30
"""With this many points the log needn't be read further back."""
MIN_STEPS = 3
"""Number of distinct steps printed after an error that show that the program continued."""
MIN_TRIES = 3

_RETRY = re.compile(
    r"(?i)\bre-?try(?:ing|able)?\b|\bwill retry|\btrying again|\bbacking off|\bback-?off\b(?! pulling)|reconnect|\bfall(?:ing)? ?back|"
    r"attempt \d{1,3} ?(?:/|of) ?\d|\brecovered\b|\bskipping\b|\bignor(?:ed|ing)\b|resum(?:ed|ing) (?:download|after|from)|"
    r"succeeded (?:on|after)|using (?:the )?(?:cached|default|local)|waiting \d+ ?s|sleeping"
)
_GIVEN_UP = re.compile(
    r"(?i)giv(?:ing|en) up|after \d+ (?:attempts|retries|tries)|retries (?:exceeded|exhausted)|max(?:imum)? retries|out of retries|RetryError|no more retries"
)
_HARSH = re.compile(
    r"(?i)\berror\b|\bfatal\b|fail|denied|cannot|unable|abort|critical|exception|not found|could not|killed|\bE:"
)
_BOILERPLATE = re.compile(
    r"frame #\d+: |wandb: (?!ERROR)|Set the environment variable HYDRA_FULL_ERROR|Killing subprocess|Sending process \d+ closing signal|"
    r"ERROR: Job \d+ failed with return code list: ?\[(?:0, )*[12]\b|Job finished \(status|srun: error: .{0,120}Exited with exit code [12]\b|"
    r"For (?:more )?(?:detailed )?(?:information|troubleshooting)|To see the details, run|Shared connection to|✗ Job|traceback : To enable traceback"
)  # fmt: skip


_HARMLESS = re.compile(
    r"(?i)(?:is|was|are|were) not (?:a|an) (?:failure|error|problem)|can (?:be )?(?:safely )?(?:be )?ignored?\b|harmless"
)
_ADVICE = re.compile(
    r"(?i)\bif you(?:'re| are)? (?:see|get|hit|run|encounter|experienc|want|need)|\bin case of\b|\bto (?:avoid|prevent)\b|\b(?:may|might|could|can) (?:cause|lead to|result in|run out|fail)\b"
)
SHORTLY_BEFORE = 40
"""Number of lines before a summary in which its cause is searched."""
_CLASS = re.compile(r"(?:\w{1,80}\.){0,12}[A-Z]\w{1,80}")
_OF_PROGRAMS = frozenset({"code_bug", "user_assert"})
"""Categories of a program's own errors, which SkyPilot's reasons never are."""
_UNDERLYING = frozenset({"auth", "network", "disk_full", "host_oom", "cuda_runtime"})
"""Categories of errors that make an installer, a download or a build give up."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line or an exception that may be the cause."""

    rule: Rule
    points: int
    order: int
    at: int
    """Index of its line in the block."""
    line: Line
    text: str
    stream: str
    raised: Raised | None = None
    chain: Chain | None = None
    other: Rule | None = None
    """The second best rule of another kind in the same chain."""


def read_events(block: Block, rules: Sequence[RuleSet], *, goes_on: bool) -> tuple[list[Event], list[Chain]]:
    """Find the events of one window.

    Parameters
    ----------
    block
        The lines of the window.
    rules
        The rules, those of the user first.
    goes_on
        The program continued after this window.
    """
    chains, used = read_tracebacks(block.lines)
    chains = [chain for chain in chains if not chain.is_ignored]
    events = [event for chain in chains if (event := _of_chain(chain, block, rules)) is not None]
    events += _of_lines(block, used, rules)
    return [_aged(event, block, goes_on=goes_on) for event in events], chains


def read_reason(lines: Iterable[str], rules: Sequence[RuleSet]) -> list[Event]:
    """Find the events in a reason that SkyPilot gives: each line is an exception or a sentence, and final.

    Parameters
    ----------
    lines
        The lines of ``Reason.lines``.
    rules
        The rules, those for reasons first.
    """
    events = []
    for number, text in enumerate(lines):
        cls, _, message = text.partition(": ")
        raised = Raised(0, "start", cls, without_names(message)) if _CLASS.fullmatch(cls) else None
        rule = (
            _match(rules, text) if raised is None else _match(rules, text, frames=()) or _match(rules, text)
        )
        if rule is None or rule.is_default or rule.tier == "wrapper" or rule.category in _OF_PROGRAMS:
            continue
        line = Line(0, text, "", is_mild=False)
        points = TIERS[rule.tier][0]
        about = without_names(text)
        events.append(
            Event(
                rule=rule, points=points, order=number, at=0, line=line, text=about, stream="", raised=raised
            )
        )
    return events


def _match(rules: Sequence[RuleSet], text: str, **about: object) -> Rule | None:
    return next(_matches(rules, text, **about), None)


def _matches(rules: Sequence[RuleSet], text: str, **about: object) -> Iterator[Rule]:
    return (rule for each in rules for rule in each.matching(text, **about))  # type: ignore[arg-type]


def _of_chain(chain: Chain, block: Block, rules: Sequence[RuleSet]) -> Event | None:
    """Choose the exception of a chain that is its origin."""
    best: tuple[int, float, int] | None = None
    chosen: tuple[Raised, Rule] | None = None
    last = len(chain.raised) - 1
    is_handling = any(raised.relation == "context" for raised in chain.raised)
    others: list[Rule] = []
    for number, raised in enumerate(chain.raised):
        found = _rules_of(raised, rules)
        others += found
        if not found:
            continue
        rule = found[0]
        strength = rule.strength
        probe = number < last and chain.raised[number + 1].relation == "context"
        if probe and rule.category in ("import_error", "code_bug", "data_missing", "config_error"):
            strength -= 2  # it was tried, and then something else was tried
        key = (strength, rule.confidence, number if is_handling else -number)
        if chain.raised[number].relation == "inner":
            key = (strength + 1 if strength else 0, 1.0, number)
        if best is None or key > best:
            best, chosen = key, (raised, rule)
    if chosen is None or _is_retried(block.lines, chain.end, chosen[0].message, chosen[0].cls):
        return None
    raised, rule = chosen
    points = TIERS[rule.tier][1] - (2 if rule.is_default else 0)
    points -= 5 if chain.is_aside else 0
    line = block.lines[raised.index]
    return Event(
        rule=rule,
        points=points,
        order=chain.end,
        at=raised.index,
        line=line,
        text=raised.text,
        stream=chain.stream,
        raised=raised,
        chain=chain,
        other=next((each for each in others if each.kind != rule.kind and each.tier != "wrapper"), None),
    )


def _rules_of(raised: Raised, rules: Sequence[RuleSet]) -> list[Rule]:
    """Match the first line of an exception, then also the lines after it, which may be of another writer."""
    head = raised.text.partition("\n")[0]
    found = list(_matches(rules, head, frames=raised.frames))
    if (not found or found[0].is_general) and "\n" in raised.text:
        longer = list(_matches(rules, raised.text, frames=raised.frames))
        found = longer if longer and not longer[0].is_general else found
    return found


def _of_lines(block: Block, used: set[int], rules: Sequence[RuleSet]) -> list[Event]:
    events = []
    for index, line in enumerate(block.lines):
        text = line.text.strip("│ ") if line.text.startswith("│") else line.text
        if index in used or len(text) < 3 or _BOILERPLATE.match(text) or _HARMLESS.search(text[:600]):
            continue
        advice = _ADVICE.search(text[:600])  # advice is no evidence that it happened
        rule = _match(rules, text if advice is None else text[: advice.start()], is_mild=line.is_mild)
        if rule is None or rule.tier == "wrapper":
            continue
        points = TIERS[rule.tier][0]
        if "return code list:" in text:
            points = min(points, AFTERWARDS)
        if points < TIERS["hard"][0]:
            if _is_retried(block.lines, index, text):
                continue
            if rule.tier == "error" and not _HARSH.search(text[:400]):
                points -= 8
        rule = _offline(block.lines, index, rules) or rule if rule.category == "import_error" else rule
        events.append(
            Event(rule=rule, points=points, order=index, at=index, line=line, text=text, stream=line.stream)
        )
    return events


def _offline(lines: Sequence[Line], index: int, rules: Sequence[RuleSet]) -> Rule | None:
    """Return the rule of the connection that an installer retried just before it gave up."""
    tried = [line.text for line in lines[max(0, index - 8) : index] if "Retrying (" in line.text]
    is_last = len(tried) >= MIN_TRIES or any("total=0," in each for each in tried)
    rule = _match(rules, re.sub("Retrying", "", tried[-1])) if is_last else None
    return rule if rule is not None and rule.category == "network" else None


def _is_retried(lines: Sequence[Line], index: int, text: str, cls: str = "") -> bool:
    """Return whether an error was retried, by its message (not its class) or the lines right after it."""
    if _GIVEN_UP.search(text) or _GIVEN_UP.search(cls):
        return False
    if _RETRY.search(text[:600]):
        return True
    following = [line for line in lines[index + 1 : index + 5] if line.text.strip()]
    return any(
        _RETRY.search(line.text[:300])
        and not _GIVEN_UP.search(line.text)
        and not line.text.startswith(("Exception ignored", "W: Some index files"))
        for line in following[:2]
    )


def _aged(event: Event, block: Block, *, goes_on: bool) -> Event:
    """Subtract points if the program continued after the error."""
    if not goes_on and block.goes_on_after(event.order) < MIN_STEPS:
        return event
    penalty = 35 if event.rule.tier == "scheduler" else 25
    return replace(event, points=event.points - penalty)


def choose(events: Iterable[Event]) -> tuple[Event | None, Event | None]:
    """Return the cause and the second best event of another kind.

    Among equals the earliest wins if several ranks print, otherwise the last: a script that continued
    after an error ended with the next one.
    """
    ranked = sorted(events, key=lambda event: (event.points, event.order), reverse=True)
    if not ranked:
        return None, None
    top = [event for event in ranked if event.points == ranked[0].points]
    best = top[0]
    streams = {event.stream for event in top}
    if len(streams) > 1 and "" not in streams:
        best = top[-1]
    elif best.stream and best.raised is not None and best.points < TIERS["signal"][1]:
        best = _first_rank(best, ranked)
    if best.rule.is_summary:
        best = _underlying(best, ranked)
    if best.rule.tier == "scheduler":
        best = _worded(top[-1], ranked)
    elif best.rule.tier == "signal":
        sure = [each for each in _alike(best, ranked) if each.points >= TIERS["hard"][0]]
        best = min(sure, key=lambda each: each.order, default=best)
    elif best.rule.tier == "symptom":  # the others followed from the first
        best = min(_alike(best, top), key=lambda each: each.order)
    second = next((event for event in ranked if event.rule.kind != best.rule.kind), None)
    return best, second


def _first_rank(best: Event, events: Iterable[Event]) -> Event:
    """Prefer the exception that another rank raised earlier."""
    raised = (each for each in events if each.raised is not None and each.stream not in ("", best.stream))
    before = [each for each in raised if each.points >= DECISIVE and each.order < best.order]
    return min([*before, best], key=lambda each: each.order)


def _underlying(best: Event, events: Iterable[Event]) -> Event:
    """Prefer the error printed shortly before a summary ("could not install", "failed to pull")."""
    reasons = [
        each
        for each in events
        if each.rule.category in _UNDERLYING
        and 0 < best.order - each.order <= SHORTLY_BEFORE
        and each.points >= DECISIVE - 8
    ]
    return max(reasons, key=lambda each: (each.points, each.order), default=best)


def _alike(best: Event, events: Iterable[Event]) -> list[Event]:
    """List the events of the same category."""
    return [event for event in events if event.rule.category == best.rule.category]


def _worded(best: Event, events: Iterable[Event]) -> Event:
    """Prefer an event with text to a bare status of the same category."""
    if best.text:
        return best
    return next((each for each in _alike(best, events) if each.text and each.points >= DECISIVE), best)
