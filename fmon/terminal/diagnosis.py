"""Print a diagnosis: the best explanation in the first line, then one block per root cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.diagnose.root_causes import ALONE, UNEXPLAINED, transience
from fmon.terminal.lines import emit, folded, line, segment, terminal_width
from fmon.text import cost, counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.diagnose.diagnose import Diagnosis
    from fmon.diagnose.root_causes import RootCause
    from fmon.terminal.lines import Line

WIDTH = 110
"""Width at which text is folded in a pipe or a file; a terminal has its own."""

MAX_NAMED = 12
"""Conditions and files that a block names; ``-o json`` has them all."""

REMEDY_STYLES = {"auto": "green", "config": "yellow", "code": "yellow", "unrecoverable": "bold red"}

LABEL = 12


def print_diagnosis(diagnosis: Diagnosis, output: str) -> None:
    """Print a diagnosis.

    Parameters
    ----------
    diagnosis
        The diagnosis.
    output
        ``table``, or ``json``: one object.
    """
    if output == "json":
        from fmon.diagnose.diagnose import as_json
        from fmon.text import json_text

        print(json_text(as_json(diagnosis)))  # noqa: T201
        return
    emit(diagnosis_lines(diagnosis, width=terminal_width() or WIDTH))


def diagnosis_lines(diagnosis: Diagnosis, *, width: int) -> Iterator[Line]:
    """Lay out a diagnosis: headline, counts, a block per root cause, the next command."""
    yield from folded("", diagnosis.headline, width, style="bold")
    yield from folded("", _counts(diagnosis), width)
    if diagnosis.preliminary_reason:
        yield from folded("", _preliminary(diagnosis), width, style="bold yellow")
    if diagnosis.missing:
        yield from folded("", f"never launched: {names_of(diagnosis.missing)}", width, style="yellow")
    for number, cause in enumerate(diagnosis.causes, start=1):
        yield []
        yield from cause_lines(cause, number, width)
    if any(suspect.combination for cause in diagnosis.causes for suspect in cause.suspects):
        yield []
        yield from folded("", _caveat(diagnosis.causes), width, style="dim")
    yield []
    yield line(f"next: {diagnosis.next_step}", "bold")


def cause_lines(cause: RootCause, number: int, width: int) -> Iterator[Line]:
    """Lay out one root cause as a block of labelled lines."""
    yield cause_header(cause, number)
    for label, text in _labelled(cause):
        yield from labelled(label, text, width)


def cause_header(cause: RootCause, number: int) -> Line:
    """Return the first line of a root cause's block."""
    remedy = cause.remedy or "not examined"
    return [
        segment(f"{number}  "),
        segment(cause.root_cause_id, "bold"),
        segment(f"  {counted(cause.failed_count, 'condition')}, "),
        segment(f"{cost(cause.cost_usd, cause.unpriced_count)}, remedy "),
        segment(remedy, REMEDY_STYLES.get(remedy, "")),
        segment(f", confidence {cause.confidence:.2f}"),
    ]


def labelled(label: str, text: str, width: int) -> Iterator[Line]:
    """Lay out a labelled line of a block, folded after its label."""
    return folded(f"   {label:<{LABEL}}", text, width)


def why_lines(cause: RootCause) -> Iterator[tuple[str, str]]:
    """Yield where a cause occurs and what shows it: label and text."""
    for suspect in cause.suspects:
        yield "where", f"{suspect.scope}: {suspect.sentence}"
    if not cause.suspects:
        yield "where", ALONE if cause.failed_count == 1 else UNEXPLAINED
    yield "evidence", _evidence(cause)
    if cause.exit_codes:
        yield "exit code", ", ".join(map(str, cause.exit_codes))
    if cause.missing_log_count:
        yield (
            "",
            f"no log of {counted(cause.missing_log_count, 'job')}: judged by the queue record alone",
        )


def _labelled(cause: RootCause) -> Iterator[tuple[str, str]]:
    yield from why_lines(cause)
    yield "fix", cause.fix_strategy
    if text := transience(cause):
        yield "", text
    if cause.affected_files:
        yield "files", names_of(cause.affected_files)
    yield "jobs", names_of(map(str, cause.job_ids))
    yield "conditions", names_of(cause.condition_ids)


def _evidence(cause: RootCause) -> str:
    if cause.evidence is None:
        return "none: neither a log nor the queue shows the error"
    job = cause.evidence_job_id
    where = {
        "log": f"job {job}, line {cause.evidence_line}",
        "controller_log": f"job {job}, line {cause.evidence_line} of its controller's log",
    }.get(cause.evidence_source or "", f"job {job}, in the queue")
    return f"{where}: {cause.evidence}"


def _counts(diagnosis: Diagnosis) -> str:
    """Return the counts, in words."""
    name = f"{diagnosis.experiment_id}, cycle {diagnosis.cycle}"
    if diagnosis.selection:
        shown = len(diagnosis.causes)
        return f"{name}: {shown:,} of {counted(shown + diagnosis.hidden_count, 'root cause')} shown"
    if not diagnosis.causes:
        others = _others(diagnosis)
        return f"{name}{': ' if others else ''}{others}"
    failed = f"{diagnosis.failed_count:,} of {counted(diagnosis.condition_count, 'condition')} failed"
    causes = counted(len(diagnosis.causes), "root cause")
    wasted = f"wasted {cost(diagnosis.cost_usd, diagnosis.unpriced_count)}"
    others = _others(diagnosis)
    return f"{name}: {failed}, {causes}, {wasted}{'; ' if others else ''}{others}"


def _others(diagnosis: Diagnosis) -> str:
    """Count the conditions that have neither failed nor succeeded."""
    counts = {
        "still open": len(diagnosis.open_jobs),
        "cancelled": len(diagnosis.cancelled),
        "never launched": len(diagnosis.missing),
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _preliminary(diagnosis: Diagnosis) -> str:
    """Return why the diagnosis does not allow a fix."""
    why = "the kill switch has fired and" if diagnosis.preliminary_reason == "kill_switch" else ""
    jobs = [f"{row.condition_id} (job {row.job_id})" for row in diagnosis.open_jobs]
    state = "not all failures were examined"
    if jobs:
        state = f"{counted(len(jobs), 'job')} still open: {listed(jobs)}"
    elif diagnosis.not_yet_launched:
        state = f"the cycle was started but has no job yet for {listed(diagnosis.not_yet_launched)}"
    if diagnosis.preliminary_reason == "selection":
        others = f"; {state}" if jobs or diagnosis.not_yet_launched else ""
        return f"not recorded, allows no fix: only the causes of {' '.join(diagnosis.selection)}{others}"
    return f"preliminary, allows no fix: {why}{' ' if why else ''}{state}"


def _caveat(causes: list[RootCause]) -> str:
    """Return the caveat of the suspects, in the words of the view."""
    suspects = [suspect for cause in causes for suspect in cause.suspects if suspect.combination]
    return f"where: {suspects[0].statement.removeprefix(suspects[0].sentence).removeprefix('; ')}"


def names_of(words: Iterable[str]) -> str:
    """List the first names, and how many more there are."""
    return listed(words, MAX_NAMED)
