# ruff: noqa: E501 -- a pattern is easier to read in one line
"""Find the root cause of one ended job from its logs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.causes.decide import (
    AFTERWARDS,
    DECISIVE,
    ENOUGH,
    FACT,
    MIN_STEPS,
    Event,
    choose,
    read_events,
    read_reason,
)
from fmon.causes.facts import SUCCESS, of_status
from fmon.causes.info import FailureInfo, Source
from fmon.causes.literals import invisible
from fmon.causes.mask import mask
from fmon.causes.oom import kind_of_oom
from fmon.causes.reason import is_closing, reason_of, stated_exit_code, without_names
from fmon.causes.rules import Rule, built_in, built_in_for_reasons, own_rules
from fmon.causes.scan import WINDOW, read_window, release, windows
from fmon.causes.signature import root_cause_id_of, signature_of
from fmon.causes.taxonomy import cause_of
from fmon.causes.text import Line, clean
from fmon.causes.tracebacks import Chain, project_files
from fmon.log_text import SAMPLE_BYTES, decoded, plain, wide_encoding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from fmon.causes.facts import Fact
    from fmon.causes.reason import Reason
    from fmon.causes.rules import RuleSet
    from fmon.model import Pattern

CONTEXT, BEYOND = 64 << 10, 8 << 10
"""Bytes read before and after a window, so that its edge cuts no traceback."""
REASON = 34
"""Points of a reason that no rule knows, where SkyPilot itself failed: lines of the log give way to it,
exceptions do not."""
MILD_REASON = 16
"""Points of such a reason of a job that ran: it only beats a log in which no rule finds anything."""
OF_SKYPILOT = frozenset({"FAILED_CONTROLLER", "FAILED_NO_RESOURCE", "FAILED_PRECHECKS"})
"""Statuses of jobs that SkyPilot, not the program, made fail."""
UNINFORMATIVE = frozenset({None, 0, 1})
"""Exit codes that say no more than that the program failed."""
TAIL = 64 << 10
"""Bytes at the end of a log in which the program's last line and SkyPilot's are searched."""
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
        The failure reason that SkyPilot reports, or the details if it reports none.
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
    reason = reason_of(failure_reason)
    _add_reason(reason, status, rules, found)
    if controller_log:
        _add_controller_log(_bytes(controller_log), rules, found)
    _add_status(status, found)
    exit_code = stated_exit_code(bytes(data[-TAIL:])) if reason.exit_code is None else reason.exit_code
    info = _decided(data, found, chains) or _unknown(data, status, found, chains, reason, exit_code)
    if info.source == "status" and reason.text:
        info = msgspec.structs.replace(info, source="failure_reason", evidence=reason.text[:MAX_EVIDENCE])
    return msgspec.structs.replace(info, exit_code=exit_code)


def _bytes(text: Any) -> Any:
    """Return a text as UTF-8; what is in memory is made plain at once, a map line by line when it is read."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if isinstance(raw, bytes):
        is_plain = b"\0" not in raw and (raw.isascii() or invisible().search(raw) is None)
    else:
        is_plain = wide_encoding(bytes(raw[:SAMPLE_BYTES])) is None
    if is_plain:
        return raw
    decoded_text = text if isinstance(text, str) else decoded(bytes(raw))
    return plain(decoded_text, line_end="\r").encode("utf-8", "surrogatepass")


def _read(
    data: Any, rules: Sequence[RuleSet], found: list[tuple[Event, Source, int]], patterns: Sequence[Pattern]
) -> list[Chain]:
    """Read the log backwards from its end, as far as needed."""
    extra = _extra(patterns)
    goes_on = False
    seen: dict[bytes, int] = {}
    all_chains: list[Chain] = []
    for number, (start, end) in enumerate(windows(data)):
        low, high = max(0, start - CONTEXT), min(len(data), end + BEYOND)
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


def _add_reason(
    reason: Reason, status: str, rules: Sequence[RuleSet], found: list[tuple[Event, Source, int]]
) -> None:
    """Read SkyPilot's reason: an exit code counts like SkyPilot's closing line, the rest is a fact."""
    line = Line(0, reason.text, "", is_mild=False)
    if reason.exit_code not in UNINFORMATIVE:
        found.extend(
            (replace(event, points=min(event.points, AFTERWARDS) + 1, line=line), "failure_reason", 0)
            for event in read_reason([f"exit code {reason.exit_code}"], rules)
        )
    if reason.is_general:
        return
    events = read_reason(reason.lines, [built_in_for_reasons(), *rules])
    least = {"scheduler": FACT, "error": REASON}
    found.extend(
        (replace(event, points=max(event.points, least.get(event.rule.tier, 0))), "failure_reason", 0)
        for event in events
    )
    if all(event.points < ENOUGH for event in events):
        points = REASON if status in OF_SKYPILOT else MILD_REASON
        subcategory = "controller" if status == "FAILED_CONTROLLER" else "reason"
        event = _own_event(
            "reason", ("unknown", subcategory, points, 0.3), reason.text, without_names(reason.text)
        )
        found.append((event, "failure_reason", 0))


def _add_controller_log(raw: bytes, rules: Sequence[RuleSet], found: list[tuple[Event, Source, int]]) -> None:
    """Read the controller's log, whose events count less than those of the log."""
    block = read_window(raw, max(0, len(raw) - (4 << 20)), len(raw))
    events, _ = read_events(block, rules, goes_on=False)
    found.extend(
        (replace(event, points=event.points - 12), "controller_log", 0) for event in _strongest(events)
    )


def _add_status(status: str, found: list[tuple[Event, Source, int]]) -> None:
    fact = of_status(status)
    if fact is not None:
        found.append((_own_event(f"status:{status}", fact), "status", 0))


def _own_event(name: str, fact: Fact, text: str = "", shared: str = "") -> Event:
    """Return the event of a fact from the queue that no pattern stands for."""
    category, subcategory, points, confidence = fact
    rule = Rule(
        id=name,
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
    line = Line(0, text, "", is_mild=False)
    return Event(rule=rule, points=points, order=-1, at=0, line=line, text=shared, stream="")


def _decided(data: Any, found: list[tuple[Event, Source, int]], chains: list[Chain]) -> FailureInfo | None:
    """Return the cause that the events show; None if none decides."""
    by_event = {id(event): (source, start) for event, source, start in found}
    best, second = choose(event for event, _, _ in found)
    files = _files(best, chains)
    if best is None or best.points < ENOUGH:
        return None
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


def _unknown(
    data: Any,
    status: str,
    found: list[tuple[Event, Source, int]],
    chains: list[Chain],
    reason: Reason,
    exit_code: int | None,
) -> FailureInfo:
    """Return the result where no rule decides.

    Such jobs are grouped by the last line of the program and the exit code; without a line by SkyPilot's
    reason, without a reason by the status.
    """
    best, _ = choose(event for event, _, _ in found)
    subcategory = best.rule.subcategory if best is not None and best.rule.category == "unknown" else None
    line = _last_line(data)
    evidence = line.text.strip()[:MAX_EVIDENCE] if line is not None else reason.text[:MAX_EVIDENCE]
    source: Source = "log" if line is not None else "failure_reason" if evidence else "status"
    code = "" if exit_code is None else f"exit code {exit_code}"
    text = code or reason.text or status
    if line is not None:
        text = evidence if exit_code in UNINFORMATIVE else f"{code}: {evidence}"
    cause = cause_of("unknown", subcategory)
    ends = f"it ends: {evidence}" if line is not None else "" if code else evidence
    return FailureInfo(
        category="unknown",
        subcategory=subcategory,
        root_cause_id=root_cause_id_of("unknown", subcategory, exception_class=None, message=text),
        signature=signature_of("unknown", subcategory, exception_class=None, message=text),
        root_cause="; ".join(filter(None, [cause.definition, code, ends])),
        evidence=evidence or None,
        evidence_line=None if line is None else _line_number(data, len(data) - line.number, 1),
        source=source if evidence else None,
        message=mask(text),
        rule="none",
        confidence=0.1,
        runner_up=best.rule.kind if best is not None and best.points > 0 else None,
        remedy=cause.remedy,
        auto_fixable=cause.remedy == "auto",
        files=_files(best, chains),
    )


def _last_line(data: Any) -> Line | None:
    """Return the program's last line; its number is the distance of its start from the end."""
    tail = bytes(data[-TAIL:])
    at = len(tail)
    for raw in reversed(tail.split(b"\n")):
        at -= len(raw)
        for segment in reversed(raw.split(b"\r")):
            for line in reversed(clean(segment, 0)):
                if line.text.strip() and not is_closing(line.text):
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
