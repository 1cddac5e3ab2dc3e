"""Split a log into one part per task, and recognize what SkyPilot prints instead of a log.

SkyPilot marks the parts of a job's log once the job has ended: a hint, then per task a heading and a closing
line. Before that it shows one task after another, each closed by the end of its program. The log of a
controller names each task of a pipeline when it starts; of the tasks of a job group, which run side by side,
only the copies of their logs can be distinguished.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fmon.sky.head_and_tail import MARK
from fmon.sky.own_lines import Sentence, sentence_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REASON = "\nFailure reason: "
"""SkyPilot adds the reason for the failure to a sentence that it prints instead of a log."""

EMPTY = "it is empty"
CUT_SHORT = "it has no output and no end"
NOT_MARKED = "SkyPilot shows the log of another task until the job has ended"
NO_PART = "it has no part for this task"

MAX_REASON = 200
HINT_LINES = 20
"""The hint of a job of several tasks is among its first lines."""

TASK = re.compile(r"\bTask (?:.{0,300}\((\d{1,9})\)|(\d{1,9}))")
GLUED = re.compile(r"[\u2713\u2a2f] Task [^\u2713\u2a2f\n]{1,300} finished \(status: \w{1,40}\)\.$")
FAILED = re.compile(r"\(status: FAILED")
COUNT = re.compile(r"task (\d{1,9})/(\d{1,9}): ")
NUMBER = re.compile(r"[Tt]ask (\d{1,9})\b")
OTHER_WORDING = re.compile(
    r"(?i)(?=.{0,300}\blogs?\b).{0,300}\b(?:forwarded|deleted|removed|cleaned|purged|expired|rotated|archived|"
    r"retention|no longer|not available|unavailable)\b"
)
"""A message of another SkyPilot release; only if the text has no line that precedes a program's output."""

OTHERS = -1
"""Owner of the lines of tasks that are unknown or not requested."""


class Part(NamedTuple):
    """The part of a log that belongs to one task.

    Attributes
    ----------
    text
        The log with the lines of other tasks blank, so that its lines keep their numbers. In a log with
        parts SkyPilot's own lines are blank too, apart from how the program ended.
    shown
        The part with SkyPilot's own lines, for people.
    no_log_reason
        Why this is not a log of the task; None if it is one.
    is_silent
        Whether it has no line of a program.
    """

    text: str
    shown: str
    no_log_reason: str | None
    is_silent: bool


def part_of(text: str, task_id: int) -> Part:
    r"""Return the part of a cleaned log of a job that belongs to one of its tasks.

    Parameters
    ----------
    text
        The log; that of a job of one task is one part.
    task_id
        The task, which has failed.

    Examples
    --------
    >>> log = "=== Task a(0) ===\nKeyError: 1\n=== Task b(1) ===\nstep 1\n"
    >>> part_of(log, 1).text
    '\n\n\nstep 1\n'
    >>> part_of("Job 3 not found.", 0).no_log_reason
    'SkyPilot does not know the job'
    """
    lines = text.split("\n")
    marks = _marks(lines)
    if marks is None:
        return _judged(text)
    if any(sentence.kind in ("task", "task_end") or _is_deleted(sentence) for sentence in marks.values()):
        owners = _owners(lines, marks)
        missing = NO_PART
    else:
        owners = _owners_before_the_end(lines, marks, task_id)
        missing = NOT_MARKED
    own = [line if owner == task_id else "" for line, owner in zip(lines, owners, strict=True)]
    # A sentence for the entire job, such as one that no log exists, is each task's.
    common = [line for line, owner in zip(lines, owners, strict=True) if owner is None and sentence_of(line)]
    part = _judged("\n".join([*common, *own]))
    no_log_reason = (
        missing if part.no_log_reason in (EMPTY, CUT_SHORT) and task_id not in owners else part.no_log_reason
    )
    shown = _joined(line for line, owner in zip(lines, owners, strict=True) if owner == task_id)
    return Part("\n".join(map(_without_marks, own)), shown, no_log_reason, part.is_silent)


def controller_part_of(text: str, task_id: int) -> Part:
    """Return the part of a controller's cleaned log that belongs to one task.

    Parameters
    ----------
    text
        The log of the controller. Lines that belong to no task belong to each.
    task_id
        The task.
    """
    lines = text.split("\n")
    marks = {
        number: sentence
        for number, line in enumerate(lines)
        if (sentence := sentence_of(line)) and sentence.kind == "controller"
    }
    if any(sentence.text.startswith("Running as Job Group") for sentence in marks.values()):
        owners = _owners_in_group(lines, marks)
    else:
        owners = _owners_in_pipeline(lines, marks)
    named = {task for owner in owners for task in owner}
    is_own = [not owner or task_id in owner or named == {task_id} for owner in owners]
    kept = [line if own else "" for line, own in zip(lines, is_own, strict=True)]
    shown = _joined(line for line, own in zip(lines, is_own, strict=True) if own)
    judged = _judged("\n".join(kept))
    no_log_reason = NO_PART if named and task_id not in named else judged.no_log_reason
    return Part("\n".join(map(_without_frames, kept)), shown, no_log_reason, judged.is_silent)


def no_log(text: str) -> str | None:
    """Return why a cleaned text that SkyPilot sent is not a log of any task; None if it is one."""
    lines = text.split("\n")
    marks = _marks(lines)
    if marks is None:
        return _judged(text).no_log_reason
    if tasks_in(text):
        return None
    if any(sentence.kind == "no_log" for sentence in marks.values()):
        return _judged(text).no_log_reason
    has_failed = any(
        sentence.kind == "end" and FAILED.search(lines[number]) for number, sentence in marks.items()
    )
    return None if has_failed else _judged(text).no_log_reason or NOT_MARKED


def printed_instead(text: str) -> str | None:
    """Return what SkyPilot prints instead of a log; None if nothing, as for a job that has just started."""
    no_log_reason = _judged(text).no_log_reason
    return None if no_log_reason in (EMPTY, CUT_SHORT) else no_log_reason


def is_mark(line: str) -> bool:
    """Return whether a line begins or ends the part of a task."""
    sentence = sentence_of(line)
    return sentence is not None and (
        sentence.kind in ("task", "task_end") or sentence.text.startswith("Processing task")
    )


def tasks_in(text: str) -> set[int]:
    """Return the tasks that have a part in a cleaned log; none if it is one part."""
    lines = text.split("\n")
    marks = _marks(lines) or {}
    named = (_task(lines[number]) for number, sentence in marks.items() if sentence.kind == "task")
    return {task for task in named if task is not None}


def is_silent(text: str) -> bool:
    """Return whether a cleaned log has only SkyPilot's own lines: the job never printed anything."""
    return _judged(text).is_silent


def _without_marks(line: str) -> str:
    """Blank a line of SkyPilot; remove its mark from a line that a program did not end."""
    sentence = sentence_of(line)
    if sentence is None:
        return GLUED.sub("", line)
    return line if sentence.kind == "exit" else ""


def _without_frames(line: str) -> str:
    sentence = sentence_of(line)
    return "" if sentence is not None and sentence.kind in ("frame", "controller") else line


def _joined(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return text if text.endswith("\n") or not text else text + "\n"


def _judged(text: str) -> Part:
    """Judge whether a text is a log, and whether a program printed anything."""
    kinds: dict[str, tuple[Sentence, str]] = {}
    for line in text.partition(REASON)[0].split("\n"):
        if not line.strip():
            continue
        sentence = sentence_of(line)
        if sentence is None and OTHER_WORDING.match(line) is None:
            return Part(text, text, None, is_silent=False)
        found = sentence or Sentence("", line, "no_log", f"SkyPilot printed: {line.strip()[:MAX_REASON]}")
        kinds.setdefault(found.kind if sentence else "other", (found, line.strip()))
    if "other" in kinds and not kinds.keys().isdisjoint({"start", "exit", "task"}):
        return Part(text, text, None, is_silent=False)
    if "start" in kinds or "exit" in kinds:
        is_complete = not kinds.keys().isdisjoint({"end", "task_end", "exit"})
        return Part(text, text, None if is_complete else CUT_SHORT, is_silent=True)
    if "no_log" in kinds or "other" in kinds:
        sentence, line = kinds.get("no_log") or kinds["other"]
        return Part(text, text, _reason(sentence, line), is_silent=True)
    return Part(text, text, EMPTY, is_silent=True)


def _reason(sentence: Sentence, line: str) -> str:
    """Return what a sentence means, with the time if it has one."""
    _, found, time = line.rpartition(" at ")
    is_time = _is_deleted(sentence) and found and time[:1].isdigit()
    return f"{sentence.reason} (at {time.rstrip('.')})"[:MAX_REASON] if is_time else sentence.reason


def _is_deleted(sentence: Sentence) -> bool:
    return "log has been cleaned" in sentence.text


def _marks(lines: Sequence[str]) -> dict[int, Sentence] | None:
    """Return the marks of a job of several tasks by line; None if it has one task, or no marks."""
    first = [line for line in lines[:HINT_LINES] if line.strip()]
    kinds = [sentence for line in first if (sentence := sentence_of(line))]
    has_hint = any(sentence.kind == "hint" for sentence in kinds)
    begins = sentence_of(first[0]) if first else None
    if not has_hint and (begins is None or not (begins.kind == "task" or begins.text.startswith("Task {}"))):
        return None
    return {
        number: sentence
        for number, line in enumerate(lines)
        if (sentence := sentence_of(line))
        and (sentence.kind in ("start", "end", "task", "task_end") or _is_deleted(sentence))
    }


def _task(line: str) -> int | None:
    """Return the task that a mark names."""
    found = TASK.search(line)
    return None if found is None else int(found[1] or found[2])


def _owners(lines: Sequence[str], marks: dict[int, Sentence]) -> list[int | None]:
    """Return the task of each line of a marked log; None = of no task.

    After a cut, the closing line of a task shows which task the lines before it belong to.
    """
    owners: list[int | None] = []
    current: int | None = None
    cut = None
    for number, line in enumerate(lines):
        sentence = marks.get(number)
        task = _task(line) if sentence else None
        if sentence is None or task is None:
            if MARK.fullmatch(line):
                cut = number
            owners.append(None if sentence and sentence.kind == "end" and current is None else current)
            continue
        if sentence.kind == "task_end" and cut is not None:
            owners[cut + 1 :] = [task] * (number - cut - 1)
        cut = None
        owners.append(task)
        current = task if sentence.kind == "task" else None
    return owners


def _owners_before_the_end(
    lines: Sequence[str], marks: dict[int, Sentence], task_id: int
) -> list[int | None]:
    """Return the owner of each line of a log that was shown before the job had ended.

    The end of each program closes its part; a part that ended in a failure is the failed task's.
    """
    owners: list[int | None] = [None] * len(lines)
    start = 0
    for number, sentence in marks.items():
        if sentence.kind == "end":
            owner = task_id if FAILED.search(lines[number]) else OTHERS
            owners[start : number + 1] = [owner] * (number + 1 - start)
            start = number + 1
    owners[start:] = [OTHERS] * (len(lines) - start)
    return owners


def _owners_in_pipeline(lines: Sequence[str], marks: dict[int, Sentence]) -> list[frozenset[int]]:
    """Return the task of each line of the log of a pipeline's controller."""
    owners: list[frozenset[int]] = []
    current: frozenset[int] = frozenset()
    for number, line in enumerate(lines):
        if (sentence := marks.get(number)) and sentence.text.startswith(("Processing", "Starting")):
            found = COUNT.search(line) or NUMBER.search(line)
            current = frozenset({int(found[1])}) if found else current
        owners.append(current)
    return owners


def _owners_in_group(lines: Sequence[str], marks: dict[int, Sentence]) -> list[frozenset[int]]:
    """Return the tasks that each line of the log of a job group's controller may belong to.

    A task's log is copied after the line that says how it ended; copies may overlap.
    """
    owners: list[frozenset[int]] = []
    open_tasks: list[int] = []
    for number, line in enumerate(lines):
        sentence = marks.get(number)
        if sentence and sentence.text.startswith("Task {}") and (found := NUMBER.search(line)):
            open_tasks.append(int(found[1]))
        owners.append(frozenset(open_tasks))
        if sentence and sentence.text.startswith("== End of logs") and open_tasks:
            del open_tasks[0]
    return owners
