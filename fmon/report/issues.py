"""Phase 6, issues: an issue per root cause that needs a person, filed on request.

Reads view ``issue``; writes Markdown files and events. Filing searches before it writes, so that it can be
interrupted between any two steps and run again (docs/decisions/0021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.diagnose.excerpt import Evidence, excerpt
from fmon.diagnose.gate import FAILURES, UNFINISHED, failures, unfinished
from fmon.events import IssueEvent, IssueIntentEvent
from fmon.manifest.stored import StoredExperiment
from fmon.report import issue_text
from fmon.report.issue_text import AffectedCondition, Issue
from fmon.rules.f1_wait_for_terminal import f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import f2_aggregate_before_fix
from fmon.store.durable import lock, write_durably
from fmon.store.folder import issues_lock
from fmon.warehouse import grouped_rows, typed_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from fmon.clients.github import Found, GitHub
    from fmon.store.folder import Store
    from fmon.study import Study
    from fmon.warehouse.result import Row

LOCK_WAIT_S = 600.0
"""Two processes that file at the same time would both find no issue, so one waits for the other."""

COLUMNS = ("root_cause_id", "reason", "condition_count", "cost_usd", "file", "done", "url")
"""Columns of the output; ``done`` is what this call did about the issue."""

ISSUES = """
select
    issue.experiment_id,
    issue.root_cause_id,
    issue.signature,
    issue.category,
    issue.subcategory,
    issue.reason,
    issue.root_cause,
    issue.evidence,
    issue.evidence_source,
    issue.evidence_job_id,
    issue.evidence_job_key,
    issue.evidence_line,
    issue.affected_files,
    issue.fixes,
    issue.url,
    issue.condition_count,
    issue.failed_count,
    issue.unpriced_count,
    issue.cycle,
    issue.confidence,
    issue.cost_usd,
    issue.first_failed_at,
    issue.last_failed_at,
    experiment.now_at,
    experiment.is_replayed,
    experiment.max_relaunch_cycles,
    (select count(*) from condition) as experiment_condition_count
from issue
inner join experiment on issue.experiment_id = experiment.experiment_id
order by issue.condition_count desc, issue.root_cause_id
"""

CONDITIONS = """
select
    issue.root_cause_id,
    condition.condition_id,
    condition.job_id,
    condition.cycle,
    condition.status
from issue
inner join condition
    on issue.experiment_id = condition.experiment_id
    and list_contains(issue.condition_ids, condition.condition_id)
order by condition.manifest_position
"""

SUSPECTS = """
select
    suspect.root_cause_id,
    suspect.statement
from suspect
order by suspect.round, suspect.p_holm, suspect.statement
"""

QUERIES = (ISSUES, CONDITIONS, SUSPECTS, UNFINISHED, FAILURES)
"""The queries of this module; ``connect`` creates the views that they need."""


def issues(
    study: Study, out: Path, *, open_tracker: Callable[[], GitHub] | None, now: datetime
) -> Iterator[Row]:
    """Write an issue for each root cause that needs a person, and file those not filed yet.

    Parameters
    ----------
    study
        The experiment.
    out
        Directory of the reports; the files are in its folder ``issues/<experiment_id>/``.
    open_tracker
        Opens the issue tracker; None = only write files. Issues of a replay are never filed.
    now
        The clock [UTC].

    Yields
    ------
    dict
        One per cause, with the keys of COLUMNS. ``done``: written, created, commented (on the issue
        of an earlier experiment), known (filed before), dry_run (a replay: nothing is sent).

    Raises
    ------
    RuleError
        F1 or F2 forbids filing: an issue about half of the failures would be wrong. The files are written.
    GitHubError
        An issue could not be filed; earlier ones are filed, and the next call resumes.
    """
    con = study.connect(QUERIES, now=now)
    written = list(_written(study.store, con, out))
    if open_tracker is None:
        yield from (_row(each, "written") for each in written)
        return
    f1_wait_for_terminal(unfinished(con))
    f2_aggregate_before_fix(failures(con))
    if not written:
        return
    tracker = None if written[0].issue.is_replayed else open_tracker()
    with lock(issues_lock(study.data), wait_s=LOCK_WAIT_S):
        stored = StoredExperiment(study.store)  # read under the lock what has been filed
        for each in written:
            yield _row(each, *_filed(stored, each, tracker, now=now))


class Suspicion(msgspec.Struct, frozen=True):
    """The statement of a suspect: a column of ``SUSPECTS``."""

    statement: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """A cause with its texts and their file; ``recurrence`` is the comment for a cause that came back."""

    issue: Issue
    title: str
    body: str
    recurrence: str
    file: Path


def _written(store: Store, con: duckdb.DuckDBPyConnection, out: Path) -> Iterator[Written]:
    """Write the file of each cause."""
    conditions = grouped_rows(con, CONDITIONS, AffectedCondition, by="root_cause_id")
    suspects = grouped_rows(con, SUSPECTS, Suspicion, by="root_cause_id")
    for issue in typed_rows(con, ISSUES, Issue):
        cause = issue.root_cause_id
        evidence = Evidence(
            issue.evidence, issue.evidence_source, issue.evidence_job_key, issue.evidence_line
        )
        affected = conditions.get(cause, [])
        statements = [suspect.statement for suspect in suspects.get(cause, [])]
        around = excerpt(store, evidence)
        written = Written(
            issue=issue,
            title=issue_text.title(issue),
            body=issue_text.body(issue, affected, statements, around, manifest=store.manifest),
            recurrence=issue_text.recurrence(issue, affected, statements, around, manifest=store.manifest),
            file=out / "issues" / store.experiment_id / issue_text.file_name(cause),
        )
        heading = f"# {issue_text.code(written.title)}\n\n"
        write_durably(written.file, (heading + written.body).encode("utf-8", "replace"))
        yield written


def _row(written: Written, done: str, url: str | None = None) -> Row:
    issue = written.issue
    return {
        "root_cause_id": issue.root_cause_id,
        "reason": issue.reason,
        "condition_count": issue.condition_count,
        "cost_usd": issue.cost_usd,
        "file": str(written.file),
        "done": done,
        "url": url or issue.url,
    }


def _filed(
    stored: StoredExperiment, written: Written, tracker: GitHub | None, *, now: datetime
) -> tuple[str, str | None]:
    """Make sure that an issue reports the cause for this experiment; return what was done, and its URL."""
    repository = tracker.repository if tracker else None
    issue = written.issue
    cause = issue.root_cause_id
    about: dict[str, Any] = {"at": now, "root_cause_id": cause, "repository": repository}
    for event in stored.events:
        if isinstance(event, IssueEvent) and (event.root_cause_id, event.repository) == (cause, repository):
            return ("known" if tracker else "dry_run"), event.url
    if tracker is None:
        stored.append(IssueEvent(**about, action="create", url=None))
        return "dry_run", None
    found = _find(tracker, cause)
    if found is None:
        stored.append(IssueIntentEvent(**about, action="create"))
        labels = ["fmon", f"fmon-{issue.reason.replace('_', '-')}"]
        done, action, url = "created", "create", tracker.create(written.title, written.body, labels)
    elif _mentions(tracker, found, issue):
        done, action, url = "known", "find", found.url
    else:
        stored.append(IssueIntentEvent(**about, action="comment", url=found.url))
        tracker.comment(found.number, written.recurrence)
        done, action, url = "commented", "comment", found.url
    stored.append(IssueEvent(**about, action=action, url=url))
    return done, url


def _find(tracker: GitHub, root_cause_id: str) -> Found | None:
    """Find the issue about a root cause.

    By search; as that lags, among the newest with fmon's label; as that may be missing, among the newest.
    """
    word = issue_text.key_of(root_cause_id)
    for look in (partial(tracker.search, word), partial(tracker.labelled, "fmon"), tracker.newest):
        about = [issue for issue in look() if issue_text.is_about(issue.body, root_cause_id)]
        if about:
            # If a person filed a second one, the open one counts, then the older one.
            return min(about, key=lambda issue: (issue.state != "open", issue.number))
    return None


def _mentions(tracker: GitHub, found: Found, issue: Issue) -> bool:
    texts = (found.body, *tracker.comments(found.number))
    return any(issue_text.mentions(text, issue.root_cause_id, issue.experiment_id) for text in texts)
