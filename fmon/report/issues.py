"""Phase 6, issues: an issue per root cause that needs a person, filed on request.

Reads view ``issue``; writes Markdown files and events. Filing looks before it acts, so that it may be killed
between any two steps and called again (docs/decisions/0021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.diagnose.excerpt import excerpt
from fmon.diagnose.gate import FAILURES, UNFINISHED, failures, unfinished
from fmon.events import IssueEvent, IssueIntentEvent
from fmon.manifest.stored import StoredExperiment
from fmon.report import issue_text
from fmon.rules.f1_wait_for_terminal import f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import f2_aggregate_before_fix
from fmon.store.durable import lock, write_durably
from fmon.store.folder import issues_lock
from fmon.warehouse import rows
from fmon.warehouse.views import freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from fmon.clients.github import Found, GitHub
    from fmon.store.folder import Store
    from fmon.study import Study

    Row = dict[str, Any]

FROZEN = ("attempt_result", "issue")
"""What the queries come down to, each several times."""

LOCK_WAIT_S = 600.0
"""Two that file at the same time would both look and both find nothing: one waits for the other."""

COLUMNS = ("root_cause_id", "reason", "condition_count", "cost_usd", "file", "done", "url")
"""What is told of each issue; ``done`` is what this call did about it."""

ISSUES = """
select
    issue.*,
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
"""What is asked; ``connect`` makes the views for it."""


def issues(
    study: Study, out: Path, *, open_tracker: Callable[[], GitHub] | None, now: datetime
) -> Iterator[Row]:
    """Write an issue for each root cause that needs a person, and file those not filed yet.

    Parameters
    ----------
    study : the experiment
    out : folder of the reports; the files are in ``issues/<experiment_id>/`` of it
    open_tracker : gives where issues are filed; None = only files are written. A recording's are never filed.
    now : the clock [UTC]

    Yields
    ------
    dict
        One per cause, with the keys of COLUMNS. ``done``: written, created, commented (the issue of an
        earlier experiment), known (filed before), dry_run (a recording: nothing leaves the machine).

    Raises
    ------
    RuleError
        F1 or F2 forbids filing: an issue about half of the failures would be wrong. The files are written.
    GitHubError
        An issue could not be filed; those before it are, and the next call resumes.
    """
    con = study.connect(QUERIES, now=now)
    freeze(con, FROZEN)
    written = list(_written(study.store, con, out))
    if open_tracker is None:
        yield from (_told(issue, "written") for issue in written)
        return
    f1_wait_for_terminal(unfinished(con))
    f2_aggregate_before_fix(failures(con))
    if not written:
        return
    tracker = None if written[0]["is_replayed"] else open_tracker()
    with lock(issues_lock(study.data), wait_s=LOCK_WAIT_S):
        stored = StoredExperiment(study.store)  # what has been filed is known only under the lock
        for issue in written:
            yield _told(issue, *_filed(stored, issue, tracker, now=now))


def _written(store: Store, con: duckdb.DuckDBPyConnection, out: Path) -> Iterator[Row]:
    """Write the file of each cause; give the cause with its texts."""
    parts = {name: rows(con, query) for name, query in _PARTS.items()}
    for issue in rows(con, ISSUES):
        own = {
            name: [row for row in listed if row["root_cause_id"] == issue["root_cause_id"]]
            for name, listed in parts.items()
        }
        texts = (issue, own["conditions"], own["suspects"], excerpt(store, issue))
        issue["title"] = issue_text.title(issue)
        issue["body"] = issue_text.body(*texts)
        issue["recurrence"] = issue_text.recurrence(*texts)
        issue["file"] = out / "issues" / store.experiment_id / issue_text.file_name(issue["root_cause_id"])
        heading = f"# {issue_text.code(issue['title'])}\n\n"
        write_durably(issue["file"], (heading + issue["body"]).encode("utf-8", "replace"))
        yield issue


_PARTS = {"conditions": CONDITIONS, "suspects": SUSPECTS}


def _told(issue: Row, done: str, url: str | None = None) -> Row:
    values = {**issue, "file": str(issue["file"]), "done": done, "url": url or issue["url"]}
    return {column: values[column] for column in COLUMNS}


def _filed(
    stored: StoredExperiment, issue: Row, tracker: GitHub | None, *, now: datetime
) -> tuple[str, str | None]:
    """See to it that the cause has an issue that tells of this experiment; say what was done, and its URL."""
    repository = tracker.repository if tracker else None
    cause = issue["root_cause_id"]
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
        labels = ["fmon", f"fmon-{issue['reason'].replace('_', '-')}"]
        done, action, url = "created", "create", tracker.create(issue["title"], issue["body"], labels)
    elif _tells(tracker, found, issue):
        done, action, url = "known", "find", found.url
    else:
        stored.append(IssueIntentEvent(**about, action="comment", url=found.url))
        tracker.comment(found.number, issue["recurrence"])
        done, action, url = "commented", "comment", found.url
    stored.append(IssueEvent(**about, action=action, url=url))
    return done, url


def _find(tracker: GitHub, root_cause_id: str) -> Found | None:
    """Find the issue about a root cause: by search and, as that lags, among the newest with fmon's label."""
    word = issue_text.key_of(root_cause_id)
    for found in (tracker.search(word), tracker.labelled("fmon")):
        about = [issue for issue in found if issue_text.is_about(issue.body, root_cause_id)]
        if about:
            # Two of them are a person's doing: the open one counts, then the older one.
            return min(about, key=lambda issue: (issue.state != "open", issue.number))
    return None


def _tells(tracker: GitHub, found: Found, issue: Row) -> bool:
    texts = (found.body, *tracker.comments(found.number))
    return any(issue_text.tells_of(text, issue["root_cause_id"], issue["experiment_id"]) for text in texts)
