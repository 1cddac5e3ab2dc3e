"""The text of an issue about a root cause, as GitHub's Markdown.

Whatever comes from jobs, logs, configs and people stands in code: there GitHub makes no mention, reference,
link or HTML of it. The fence, or the run of backticks, is longer than any inside.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from fmon.causes.taxonomy import strategy
from fmon.diagnose.excerpt import MAX_AROUND, narrowed
from fmon.text import clock, cost, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fmon.diagnose.excerpt import Excerpt

MOST_CONDITIONS = 50
MOST_SUSPECTS = 5
MOST_FIXES = 20
MOST_FILES = 10
MOST_CHARACTERS = 500
"""Of one piece of foreign text; together they keep a body far below GitHub's 65,536 characters."""
TITLE_CHARACTERS = 120
EXCERPT_CHARACTERS = 300
"""Of one line of a log excerpt."""

REASONS = {
    "unrecoverable": "Nothing that fmon may do puts it right: a person has to.",
    "out_of_cycles": "Its conditions still fail after the last relaunch that is allowed (rule F4).",
}

_MARKER = re.compile(r"<!-- fmon: root_cause=(\S+) signature=\S+ experiment=(\S+) -->")


class Issue(msgspec.Struct, frozen=True):
    """A root cause that needs a person: columns of view ``issue``, and what its text says of the experiment.

    Attributes
    ----------
    now_at
        The clock of the views [UTC].
    url
        Of the issue that was filed about it; None = none by fmon.
    """

    experiment_id: str
    root_cause_id: str
    signature: str | None
    category: str
    subcategory: str | None
    reason: str
    root_cause: str
    evidence: str | None
    evidence_source: str | None
    evidence_job_id: int
    evidence_line: int | None
    affected_files: list[str]
    fixes: list[str]
    url: str | None
    condition_count: int
    failed_count: int
    unpriced_count: int
    cycle: int
    confidence: float
    cost_usd: Decimal | None
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    now_at: datetime
    is_replayed: bool
    max_relaunch_cycles: int
    experiment_condition_count: int


class AffectedCondition(msgspec.Struct, frozen=True):
    """A condition whose newest attempt failed with a cause."""

    condition_id: str
    job_id: int
    cycle: int
    status: str


def key_of(root_cause_id: str) -> str:
    """Give the word that an issue about a root cause is searched by.

    GitHub's search takes words apart at punctuation and may leave HTML comments out: so it is letters and
    digits, and stands in plain sight.

    Examples
    --------
    >>> key_of("cuda_oom/torch")
    'fmon97d9cfebea33ba4b'
    """
    return f"fmon{hashlib.sha256(root_cause_id.encode('utf-8', 'replace')).hexdigest()[:16]}"


def marker(root_cause_id: str, signature: str | None, experiment_id: str) -> str:
    """Write the hidden line that tells whose issue, and of which experiment, a text is."""
    parts = map(_quoted, (root_cause_id, signature or "none", experiment_id))
    return "<!-- fmon: root_cause={} signature={} experiment={} -->".format(*parts)


def is_about(text: str, root_cause_id: str) -> bool:
    """Tell whether a text is the body of an issue about a root cause."""
    return any(found[0] == _quoted(root_cause_id) for found in _MARKER.findall(text))


def tells_of(text: str, root_cause_id: str, experiment_id: str) -> bool:
    """Tell whether a body or a comment already says that the cause was met in an experiment."""
    return (_quoted(root_cause_id), _quoted(experiment_id)) in _MARKER.findall(text)


def file_name(root_cause_id: str) -> str:
    """Name the Markdown file of a cause; causes of different names have different files.

    Examples
    --------
    >>> file_name("code_bug/shape/ValueError/0badc0de")
    'code_bug-shape-ValueError-0badc0de.md'
    """
    name = root_cause_id.replace("/", "-")
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:100]
    return f"{plain}.md" if plain == name else f"{plain}-{key_of(root_cause_id)[4:12]}.md"


def title(issue: Issue) -> str:
    """Write the title: one line."""
    named = f"{issue.category}/{issue.subcategory}" if issue.subcategory else issue.category
    said = " ".join((issue.evidence or issue.root_cause).split())
    return f"[fmon] {named}: {cut(said, TITLE_CHARACTERS)}"


def body(
    issue: Issue, conditions: Sequence[AffectedCondition], statements: Sequence[str], excerpt: Excerpt | None
) -> str:
    """Write the body.

    Parameters
    ----------
    issue
        The cause.
    conditions
        Those that fail with it.
    statements
        What is suspected of it: column ``statement`` of view ``suspect``.
    excerpt
        The stored log around the evidence; None = there is none.
    """
    return "\n".join(
        [
            *_opening(issue),
            REASONS[issue.reason],
            "",
            *_figures(issue),
            *_evidence(issue, excerpt),
            *_conditions(issue, conditions),
            *_suspects(statements),
            *_fixes(issue.fixes),
            "## What to do",
            "",
            strategy(issue.category, issue.subcategory),
            *_files(issue.affected_files),
            "",
            *_closing(issue),
        ]
    )


def recurrence(
    issue: Issue, conditions: Sequence[AffectedCondition], statements: Sequence[str], excerpt: Excerpt | None
) -> str:
    """Write the comment on a cause that came back in another experiment; arguments as ``body``."""
    return "\n".join(
        [
            *_opening(issue),
            f"It came back in experiment {code(issue.experiment_id)}. {REASONS[issue.reason]}",
            "",
            *_figures(issue),
            *_evidence(issue, excerpt),
            *_conditions(issue, conditions),
            *_suspects(statements),
            *_fixes(issue.fixes),
            *_closing(issue),
        ]
    )


def code(text: str) -> str:
    """Write foreign text as code within a line.

    Examples
    --------
    >>> code("ask @ada `now`")
    '`` ask @ada `now` ``'
    """
    shown = _harmless(" ".join(cut(text, MOST_CHARACTERS).split()))
    ticks = "`" * (_longest_run(shown) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def fenced(lines: Iterable[str]) -> list[str]:
    """Write foreign lines as a block of code."""
    shown = [_harmless(cut(line, MOST_CHARACTERS)) for line in lines]
    fence = "`" * max(3, 1 + max(map(_longest_run, shown), default=0))
    return [f"{fence}text", *shown, fence]


def _opening(issue: Issue) -> list[str]:
    return [marker(issue.root_cause_id, issue.signature, issue.experiment_id), ""]


def _figures(issue: Issue) -> Iterator[str]:
    """Say whose, how many, when and what it cost."""
    yield f"- root cause {code(issue.root_cause_id)}, confidence {issue.confidence:.2f}"
    yield f"- experiment {code(issue.experiment_id)}"
    yield f"- conditions: {issue.condition_count:,} of {issue.experiment_condition_count:,}"
    yield (
        f"- failed attempts: {issue.failed_count:,}, the newest in cycle {issue.cycle} "
        f"(relaunches allowed: {issue.max_relaunch_cycles})"
    )
    yield f"- wasted on these attempts: {cost(issue.cost_usd, issue.unpriced_count)}"
    yield f"- first {clock(issue.first_failed_at)}, last {clock(issue.last_failed_at)}"
    yield ""


def _evidence(issue: Issue, excerpt: Excerpt | None) -> Iterator[str]:
    """Show the line that decided, in its log where that is stored."""
    yield "## Evidence"
    yield ""
    line = issue.evidence_line
    where = f", line {line:,}" if line else ""
    source = (issue.evidence_source or "nothing").replace("_", " ")
    yield f"Job {issue.evidence_job_id}, {source}{where}:"
    yield ""
    if issue.evidence is None:
        yield from fenced([issue.root_cause])
    elif excerpt is None:
        yield from fenced([issue.evidence])
    else:
        yield from fenced(
            f"{'>' if line['is_marked'] else ' '} {line['text']}"
            for line in narrowed(excerpt, around=MAX_AROUND, characters=EXCERPT_CHARACTERS)
        )
    yield ""


def _conditions(issue: Issue, conditions: Sequence[AffectedCondition]) -> Iterator[str]:
    yield "## Conditions"
    yield ""
    for row in conditions[:MOST_CONDITIONS]:
        status = code(row.status)
        yield f"- {code(row.condition_id)}: job {row.job_id}, cycle {row.cycle}, {status}"
    yield from _more(issue.condition_count, MOST_CONDITIONS)
    yield ""


def _suspects(statements: Sequence[str]) -> Iterator[str]:
    yield "## Suspects"
    yield ""
    if not statements:
        yield "No combination of factor levels explains it."
    for statement in statements[:MOST_SUSPECTS]:
        yield f"- {code(statement)}"
    yield from _more(len(statements), MOST_SUSPECTS)
    yield ""


def _fixes(fixes: Sequence[str]) -> Iterator[str]:
    yield "## Fixes tried"
    yield ""
    if not fixes:
        yield "None is recorded (`fmon fix record`)."
    for fix in fixes[:MOST_FIXES]:
        yield f"- {code(fix)}"
    yield from _more(len(fixes), MOST_FIXES)
    yield ""


def _files(files: Sequence[str]) -> Iterator[str]:
    if files:
        yield ""
        yield f"Files that its log names: {', '.join(map(code, files[:MOST_FILES]))}"


def _closing(issue: Issue) -> Iterator[str]:
    command = f"fmon logs {issue.evidence_job_id} -e {issue.experiment_id}"
    yield f"The whole log: {code(command)}."
    yield ""
    yield f"<sub>Written by fmon as of {clock(issue.now_at)}; key {key_of(issue.root_cause_id)}.</sub>"
    yield ""


def _more(count: int, shown: int) -> Iterator[str]:
    if count > shown:
        yield f"- and {count - shown:,} more"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _harmless(text: str) -> str:
    """Leave no way to forge a marker: fmon believes the ones it finds in issues."""
    return text.replace("<!--", "<! --")


def _quoted(text: str) -> str:
    """Write a name so that it can neither end the hidden comment nor hold a blank."""
    return quote(text, safe="/").replace("--", "-%2D")
