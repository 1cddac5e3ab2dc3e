# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Find the root cause of one ended job from its logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fmon.causes.decide import DECISIVE, ENOUGH, MIN_STEPS, Event, choose, read_events
from fmon.causes.facts import SUCCESS, of_status
from fmon.causes.info import FailureInfo, Source
from fmon.causes.mask import mask
from fmon.causes.oom import kind_of_oom
from fmon.causes.rules import Rule, built_in, own_rules
from fmon.causes.scan import WINDOW, read_window, release, windows
from fmon.causes.signature import root_cause_id_of, signature_of
from fmon.causes.taxonomy import cause_of
from fmon.causes.text import Line, clean
from fmon.causes.tracebacks import Chain, project_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from fmon.causes.rules import RuleSet
    from fmon.model import Pattern

CONTEXT, AFTERWARDS = 64 << 10, 8 << 10
"""Bytes read before and after a window, so that its edge cuts no traceback."""
MAX_EVIDENCE = 500
MAX_FILES = 20
_YAML = re.compile(r"(?<![\w./-])[\w./-]{1,200}\.ya?ml\b")
_UPLOAD = re.compile(
    r"(?i)(?:artifact|upload|log_model|mlflow|wandb).{0,200}(?:fail|error|413|refused|timed out|could not)|413 Client Error"
)


def analyze_logs(
    text: str | bytes | mmap,
    status: str,
    *,
    failure_reason: str | None = None,
    controller_log: str | bytes | None = None,
    patterns: Sequence[Pattern] = (),
) -> FailureInfo:
    r"""Find the root cause of one ended job.

    Parameters
    ----------
    text
        The log of the job as text, bytes or a memory map; may be empty.
    status
        Its SkyPilot status; states of Slurm and Kubernetes are accepted too.
    failure_reason
        The failure reason that SkyPilot reports.
    controller_log
        The log of provisioning and recovery.
    patterns
        Failure patterns of the user.

    Returns
    -------
    FailureInfo
        Category ``none`` for a job that succeeded, ``unknown`` if no rule decides. Never raises,
        whatever the texts contain.

    Examples
    --------
    >>> analyze_logs("step 3\nModuleNotFoundError: No module named 'monai'\n", "FAILED").category
    'import_error'
    """
    data = _bytes(text)
    if status in SUCCESS:
        return _succeeded(data)
    rules = [each for each in (own_rules(patterns), built_in()) if each is not None]
    found: list[tuple[Event, Source, int]] = []
    chains = _read(data, rules, found, patterns)
    if failure_reason:
        _add(failure_reason.encode("utf-8", "replace"), "failure_reason", rules, found)
    if controller_log:
        _add(_bytes(controller_log), "controller_log", rules, found)
    _add_status(status, found)
    return _decided(data, found, chains)


def _bytes(text: Any) -> Any:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _read(
    data: Any, rules: Sequence[RuleSet], found: list[tuple[Event, Source, int]], patterns: Sequence[Pattern]
) -> list[Chain]:
    """Read the log backwards from its end, as far as needed."""
    extra = _extra(patterns)
    goes_on = False
    seen: dict[bytes, int] = {}
    all_chains: list[Chain] = []
    for number, (start, end) in enumerate(windows(data)):
        low, high = max(0, start - CONTEXT), min(len(data), end + AFTERWARDS)
        block = read_window(data, low, high, extra, seen=seen if number else None, goes_on=goes_on)
        events, chains = read_events(block, rules, goes_on=goes_on)
        # An event that begins before the window belongs to the preceding window.
        events = [event for event in events if start - low <= block.offsets[event.at] < end - low]
        found.extend((event, "log", low) for event in _strongest(events))
        all_chains = all_chains or chains
        if any(event.points >= DECISIVE for event in events):
            break
        goes_on = goes_on or sum(where >= start - low for where in block.progress) >= MIN_STEPS
        release(data)
    return all_chains


def _strongest(events: list[Event], most: int = 50) -> list[Event]:
    """Keep the few events that can still win: a log may have a million of them."""
    return sorted(events, key=lambda event: (event.points, event.order))[-most:]


def _extra(patterns: Sequence[Pattern]) -> Any:
    if not patterns:
        return None
    import re2

    # In the raw log, a prefix may precede the start of the cleaned line.
    starts = (pattern.regex.removeprefix("^") for pattern in patterns)
    return re2.compile(("(?m)" + "|".join(f"(?:{each})" for each in starts)).encode())


def _add(
    raw: bytes, source: Source, rules: Sequence[RuleSet], found: list[tuple[Event, Source, int]]
) -> None:
    """Read a text other than the log; most of its events count less than those of the log."""
    block = read_window(raw, max(0, len(raw) - (4 << 20)), len(raw))
    events, _ = read_events(block, rules, goes_on=False)
    for event in _strongest(events):
        fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
        if source == "controller_log":
            fields["points"] -= 12
        elif event.rule.tier == "scheduler":
            fields["points"] = max(fields["points"], 57)
        found.append((Event(**fields), source, 0))


def _add_status(status: str, found: list[tuple[Event, Source, int]]) -> None:
    fact = of_status(status)
    if fact is None:
        return
    category, subcategory, points, confidence = fact
    rule = Rule(
        id=f"status:{status}",
        category=category,
        subcategory=subcategory,
        regex="",
        on="line",
        tier="scheduler",
        veto=None,
        mild=True,
        is_default=False,
        confidence=confidence,
        frames=None,
    )
    line = Line(0, "", "", is_mild=False)
    found.append(
        (Event(rule=rule, points=points, order=-1, at=0, line=line, text="", stream=""), "status", 0)
    )


def _decided(data: Any, found: list[tuple[Event, Source, int]], chains: list[Chain]) -> FailureInfo:
    by_event = {id(event): (source, start) for event, source, start in found}
    best, second = choose(event for event, _, _ in found)
    files = _files(best, chains)
    if best is None or best.points < ENOUGH:
        return _unknown(data, best, files)
    source, start = by_event[id(best)]
    rule, raised = best.rule, best.raised
    message = raised.message if raised is not None else best.text
    cls = raised.cls.partition("(")[0] if raised is not None else None
    frames = _project_frames(best.chain)
    evidence = best.line.text.strip()[:MAX_EVIDENCE] or None
    subcategory = rule.subcategory  # the numbers in the message are not part of the signature
    if (rule.category, subcategory) == ("cuda_oom", "torch"):
        subcategory = kind_of_oom(best.text) or subcategory
    cause = cause_of(rule.category, subcategory)
    remedy = cause.remedy
    return FailureInfo(
        category=rule.category,
        subcategory=subcategory,
        root_cause_id=root_cause_id_of(
            rule.category, rule.subcategory, exception_class=cls, message=_head(message)
        ),
        signature=signature_of(
            rule.category, rule.subcategory, exception_class=cls, message=_head(message), frames=frames
        ),
        root_cause=f"{cause.definition}: {evidence}" if evidence else cause.definition,
        evidence=evidence,
        evidence_line=_line_number(data, start, best.line.number)
        if source == "log"
        else best.line.number or None,
        source=source,
        exception_class=cls,
        message=mask(_head(message)) or None,
        rule=rule.id,
        confidence=round(rule.confidence * (0.6 if best.points < DECISIVE else 1.0), 3),
        runner_up=_runner_up(best, second),
        remedy=remedy,
        auto_fixable=remedy == "auto",
        files=files,
    )


def _runner_up(best: Event, second: Event | None) -> str | None:
    """Return the second best cause: of another event, else another reading of the same exception."""
    if second is not None and second.points > 0:
        return second.rule.kind
    return best.other.kind if best.other is not None else None


def _head(message: str) -> str:
    """Return the first line of a message, with the second if the first ends in a colon."""
    lines = message.split("\n")
    return "\n".join(lines[:2]) if lines[0].rstrip().endswith(":") else lines[0]


def _project_frames(chain: Chain | None) -> tuple[str, ...]:
    if chain is None:
        return ()
    frames = [frame for raised in chain.raised for frame in raised.frames if frame.is_project]
    return tuple(frame.name for frame in frames[-3:])


def _files(best: Event | None, chains: list[Chain]) -> tuple[str, ...]:
    own = [best.chain] if best is not None and best.chain is not None else []
    found = dict.fromkeys(project_files([*own, *reversed(chains[-20:])]))
    if best is not None:
        found.update(dict.fromkeys(_YAML.findall(best.text[:2000])))
    return tuple(found)[:MAX_FILES]


def _line_number(data: Any, start: int, within: int) -> int:
    """Convert a line number within a window to one of the entire text."""
    count, step = 0, 1 << 20
    for at in range(0, start, step):
        count += data[at : min(start, at + step)].count(b"\n")
        if at % WINDOW == 0:
            release(data)
    return count + within


def _unknown(data: Any, best: Event | None, files: tuple[str, ...]) -> FailureInfo:
    """Return the result where no rule decides; such jobs are grouped by their last non-empty line."""
    subcategory = best.rule.subcategory if best is not None and best.rule.category == "unknown" else None
    line = _last_line(data)
    text = line.text.strip()[:MAX_EVIDENCE] if line is not None else ""
    cause = cause_of("unknown", subcategory)
    return FailureInfo(
        category="unknown",
        subcategory=subcategory,
        root_cause_id=root_cause_id_of("unknown", subcategory, exception_class=None, message=text),
        signature=signature_of("unknown", subcategory, exception_class=None, message=text),
        root_cause=f"{cause.definition}; it ends: {text}" if text else cause.definition,
        evidence=text or None,
        evidence_line=_line_number(data, len(data) - line.number, 1) if line is not None else None,
        source="log" if text else None,
        message=mask(text) or None,
        rule="none",
        confidence=0.1,
        runner_up=best.rule.kind if best is not None and best.points > 0 else None,
        remedy=cause.remedy,
        auto_fixable=cause.remedy == "auto",
        files=files,
    )


def _last_line(data: Any) -> Line | None:
    """Return the last line that is not empty; its number is the distance of its start from the end."""
    tail = bytes(data[max(0, len(data) - 65536) :])
    at = len(tail)
    for raw in reversed(tail.split(b"\n")):
        at -= len(raw)
        line = clean(raw.rpartition(b"\r")[2] or raw, 0)
        if line.text.strip():
            return line._replace(number=len(tail) - at)
        at -= 1
    return None


def _succeeded(data: Any) -> FailureInfo:
    """Return the result of a job that succeeded, with a note if an upload failed."""
    start, end = next(windows(data), (0, 0))
    health = None
    if end:
        block = read_window(data, start, end)
        uploads = (line.text.strip() for line in block.lines if _UPLOAD.search(line.text[:600]))
        health = next((f"ended well, but an upload failed: {text[:300]}" for text in uploads), None)
    return FailureInfo(
        category="none",
        root_cause_id="none",
        signature=signature_of("none", None, exception_class=None, message=None),
        root_cause="The job succeeded",
        source="status",
        rule="status:SUCCEEDED",
        confidence=1.0,
        remedy="none",
        auto_fixable=False,
        health=health,
    )
