"""The text of an issue about a root cause, as GitHub's Markdown.

Text from jobs, logs, configs and people is formatted as code, which GitHub does not turn into mentions,
references, links or HTML. The fence, or the run of backticks, is longer than any inside.
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
    from pathlib import Path

    from fmon.diagnose.excerpt import Excerpt

MAX_CONDITIONS = 50
MAX_SUSPECTS = 5
MAX_FIXES = 20
MAX_FILES = 10
MAX_CHARACTERS = 500
"""Length of one piece of untrusted text; these limits keep a body far below GitHub's 65,536 characters."""
TITLE_CHARACTERS = 120
EXCERPT_CHARACTERS = 300
"""Length of one line of a log excerpt."""

REASONS = {
    "unrecoverable": "fmon can't fix this automatically: it needs a person.",
    "out_of_cycles": "Its conditions still fail after the last allowed relaunch (rule F4).",
}

_MARKER = re.compile(r"<!-- fmon: root_cause=(\S+) signature=\S+ experiment=(\S+) -->")


class Issue(msgspec.Struct, frozen=True):
    """A root cause that needs a person: columns of view ``issue``, and of its experiment.

    Attributes
    ----------
    now_at
        The clock of the views [UTC].
    url
        URL of the issue that fmon filed about it; None = none.
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
    evidence_job_key: int
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
    """Return the search key of the issue about a root cause.

    GitHub's search splits words at punctuation and may ignore HTML comments, so the key consists of
    letters and digits and is part of the visible text.

    Examples
    --------
    >>> key_of("cuda_oom/torch")
    'fmon97d9cfebea33ba4b'
    """
    return f"fmon{hashlib.sha256(root_cause_id.encode('utf-8', 'replace')).hexdigest()[:16]}"


def marker(root_cause_id: str, signature: str | None, experiment_id: str) -> str:
    """Return the hidden line that names the root cause and the experiment of a text."""
    parts = map(_quoted, (root_cause_id, signature or "none", experiment_id))
    return "<!-- fmon: root_cause={} signature={} experiment={} -->".format(*parts)


def is_about(text: str, root_cause_id: str) -> bool:
    """Return whether a text is the body of an issue about a root cause."""
    return any(found[0] == _quoted(root_cause_id) for found in _MARKER.findall(text))


def mentions(text: str, root_cause_id: str, experiment_id: str) -> bool:
    """Return whether a body or a comment already reports the cause for an experiment."""
    return (_quoted(root_cause_id), _quoted(experiment_id)) in _MARKER.findall(text)


def file_name(root_cause_id: str) -> str:
    """Return the name of a cause's Markdown file; different causes have different files.

    Examples
    --------
    >>> file_name("code_bug/shape/ValueError/0badc0de")
    'code_bug-shape-ValueError-0badc0de.md'
    """
    name = root_cause_id.replace("/", "-")
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:100]
    return f"{plain}.md" if plain == name else f"{plain}-{key_of(root_cause_id)[4:12]}.md"


def title(issue: Issue) -> str:
    """Return the title: one line."""
    name = f"{issue.category}/{issue.subcategory}" if issue.subcategory else issue.category
    text = " ".join((issue.evidence or issue.root_cause).split())
    return f"[fmon] {name}: {cut(text, TITLE_CHARACTERS)}"


def body(
    issue: Issue,
    conditions: Sequence[AffectedCondition],
    statements: Sequence[str],
    excerpt: Excerpt | None,
    *,
    manifest: Path,
) -> str:
    """Return the body.

    Parameters
    ----------
    issue
        The cause.
    conditions
        Conditions that fail with it.
    statements
        Its suspects: column ``statement`` of view ``suspect``.
    excerpt
        The stored log around the evidence; None = there is none.
    manifest
        Path of the experiment's manifest.
    """
    return "\n".join(
        [
            *_opening(issue),
            REASONS[issue.reason],
            "",
            *_figures(issue, manifest),
            *_evidence(issue, excerpt),
            *_conditions(issue, conditions),
            *_suspects(statements),
            *_fixes(issue.fixes),
            "## Suggested fix",
            "",
            strategy(issue.category, issue.subcategory),
            *_files(issue.affected_files),
            "",
            *_closing(issue),
        ]
    )


def recurrence(
    issue: Issue,
    conditions: Sequence[AffectedCondition],
    statements: Sequence[str],
    excerpt: Excerpt | None,
    *,
    manifest: Path,
) -> str:
    """Return the comment about a cause that came back in another experiment; parameters as in ``body``."""
    return "\n".join(
        [
            *_opening(issue),
            f"It came back in experiment {code(issue.experiment_id)}. {REASONS[issue.reason]}",
            "",
            *_figures(issue, manifest),
            *_evidence(issue, excerpt),
            *_conditions(issue, conditions),
            *_suspects(statements),
            *_fixes(issue.fixes),
            *_closing(issue),
        ]
    )


def code(text: str) -> str:
    """Format untrusted text as inline code.

    Examples
    --------
    >>> code("ask @ada `now`")
    '`` ask @ada `now` ``'
    """
    shown = _harmless(" ".join(cut(text, MAX_CHARACTERS).split()))
    ticks = "`" * (_longest_run(shown) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def fenced(lines: Iterable[str]) -> list[str]:
    """Format untrusted lines as a block of code."""
    shown = [_harmless(cut(line, MAX_CHARACTERS)) for line in lines]
    fence = "`" * max(3, 1 + max(map(_longest_run, shown), default=0))
    return [f"{fence}text", *shown, fence]


def _opening(issue: Issue) -> list[str]:
    return [marker(issue.root_cause_id, issue.signature, issue.experiment_id), ""]


def _figures(issue: Issue, manifest: Path) -> Iterator[str]:
    """Yield the experiment, the counts, the times and the cost."""
    yield f"- root cause {code(issue.root_cause_id)}, confidence {issue.confidence:.2f}"
    yield f"- experiment {code(issue.experiment_id)}"
    yield f"- manifest {code(str(manifest))}"
    yield f"- conditions: {issue.condition_count:,} of {issue.experiment_condition_count:,}"
    yield (
        f"- failed attempts: {issue.failed_count:,}, the newest in cycle {issue.cycle} "
        f"(relaunches allowed: {issue.max_relaunch_cycles})"
    )
    yield f"- wasted on these attempts: {cost(issue.cost_usd, issue.unpriced_count)}"
    yield f"- first {clock(issue.first_failed_at)}, last {clock(issue.last_failed_at)}"
    yield ""


def _evidence(issue: Issue, excerpt: Excerpt | None) -> Iterator[str]:
    """Yield the line that decided, within its log if that is stored."""
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
    for row in conditions[:MAX_CONDITIONS]:
        status = code(row.status)
        yield f"- {code(row.condition_id)}: job {row.job_id}, cycle {row.cycle}, {status}"
    yield from _more(issue.condition_count, MAX_CONDITIONS)
    yield ""


def _suspects(statements: Sequence[str]) -> Iterator[str]:
    yield "## Suspects"
    yield ""
    if not statements:
        yield "No combination of factor levels explains it."
    for statement in statements[:MAX_SUSPECTS]:
        yield f"- {code(statement)}"
    yield from _more(len(statements), MAX_SUSPECTS)
    yield ""


def _fixes(fixes: Sequence[str]) -> Iterator[str]:
    yield "## Fixes tried"
    yield ""
    if not fixes:
        yield "None is recorded (`fmon fix record`)."
    for fix in fixes[:MAX_FIXES]:
        yield f"- {code(fix)}"
    yield from _more(len(fixes), MAX_FIXES)
    yield ""


def _files(files: Sequence[str]) -> Iterator[str]:
    if files:
        yield ""
        yield f"Files that its log names: {', '.join(map(code, files[:MAX_FILES]))}"


def _closing(issue: Issue) -> Iterator[str]:
    command = f"fmon logs {issue.evidence_job_id} -e {issue.experiment_id}"
    yield f"The entire log: {code(command)}."
    yield ""
    yield f"<sub>Written by fmon as of {clock(issue.now_at)}; key {key_of(issue.root_cause_id)}.</sub>"
    yield ""


def _more(count: int, shown: int) -> Iterator[str]:
    if count > shown:
        yield f"- and {count - shown:,} more"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _harmless(text: str) -> str:
    """Prevent forged markers: fmon trusts the markers that it finds in issues."""
    return text.replace("<!--", "<! --")


def _quoted(text: str) -> str:
    """Quote a name so that it can neither end the hidden comment nor contain a space."""
    return quote(text, safe="/").replace("--", "-%2D")
