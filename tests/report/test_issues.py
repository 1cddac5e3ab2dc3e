"""Phase issues: files always; filed once, whatever happens in between."""

import json
import shutil
import threading
from datetime import UTC, datetime
from functools import partial

import pytest

from fmon.clients.github import GitHub, open_github
from fmon.errors import ConfigError, GitHubError, RuleError
from fmon.events import FixEvent
from fmon.manifest.file import read_manifest
from fmon.monitor.classify import examine
from fmon.report.issues import issues
from fmon.sky.logs import RecordedLogs
from fmon.store.events import append_event
from fmon.store.unexamined import mark_pending
from fmon.study import Study
from tests.support import fake_gh
from tests.support.commands import fmon
from tests.support.events import written_events
from tests.support.queries import select
from tests.support.studies import job, poll, study

NOW = datetime(2026, 3, 22, 12, 0, tzinfo=UTC)
TOKEN = "huggingface_hub.errors.GatedRepoError: 401 Client Error. Access to model x is restricted\n"
ENDED = [job(number, "SUCCEEDED") for number in range(3, 7)]
FAILED = [*ENDED, job(1, "FAILED"), job(2, "FAILED")]


@pytest.fixture
def logs(tmp_path):
    """Two jobs that fail with a missing right: a person has to give it."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.log").write_text(f"loading the model\n{TOKEN}")
    return folder


def failed_study(data, logs, records=FAILED, **changed):
    """Make a study whose failures are examined."""
    store = study(data, **changed)
    poll(store, 20, records)
    mark_pending(store)
    examine(store, read_manifest(store), RecordedLogs(logs), now=NOW)
    return store


@pytest.fixture
def store(tmp_path, logs):
    return failed_study(tmp_path / "data", logs)


def file(store, out, *, is_wanted=True, **options):
    tracker = partial(open_github, "lab/study", **options) if is_wanted else None
    return list(issues(Study(store), out, open_tracker=tracker, now=NOW))


def filed(store):
    return [(event["event"], event.get("action")) for event in written_events(store)]


def calls(github):
    return (github / "calls").read_text().splitlines() if (github / "calls").exists() else []


def test_files_are_written_and_no_gh_is_asked(store, tmp_path, github):
    (row,) = file(store, tmp_path / "reports", is_wanted=False)
    assert (row["reason"], row["condition_count"], row["done"]) == ("unrecoverable", 2, "written")
    text = (tmp_path / "reports/issues" / store.experiment_id / row["file"].rpartition("/")[2]).read_text()
    assert f"  loading the model\n> {TOKEN}" in text
    assert "- `c1`: job 1, cycle 0, `FAILED`" in text
    assert calls(github) == []
    assert not store.events.exists()


@pytest.mark.slow
def test_an_issue_is_filed_with_labels_and_its_url_is_kept(store, tmp_path, github):
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], row["url"]) == ("created", f"{fake_gh.REPOSITORY}/issues/1")
    (filed_issue,) = fake_gh.load("issues")
    assert filed_issue["labels"] == ["fmon", "fmon-unrecoverable"]
    assert filed_issue["title"].startswith("[fmon] auth")
    assert filed(store) == [("issue_intent", "create"), ("issue", "create")]
    view = "select url, filed_at from issue"
    assert select(store.path.parent, view) == [{"url": row["url"], "filed_at": NOW}]


LABELS = [{"name": name} for name in ("fmon", "fmon-unrecoverable")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("may_not", "known", "set_labels"),
    [
        (["label create"], LABELS[:1], ["fmon"]),
        (["label create"], [], None),
        (["label list"], LABELS, None),
        (["issue create"], LABELS, None),
    ],
)
def test_without_permission_for_labels_it_is_filed_once_without_them(
    store, tmp_path, github, may_not, known, set_labels
):
    (github / "may_not").write_text("\n".join(may_not))
    (github / "search_lags").touch()
    fake_gh.save("labels", known)
    tracker = open_github("lab/study")
    (row,) = issues(Study(store), tmp_path / "reports", open_tracker=lambda: tracker, now=NOW)
    assert (row["done"], fake_gh.load("issues")[0]["labels"]) == ("created", set_labels)
    assert tracker.label_faults
    assert all("Resource not accessible" in sentence for sentence in tracker.label_faults)
    store.events.unlink()
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], len(fake_gh.load("issues"))) == ("known", 1)


@pytest.mark.slow
def test_if_issues_may_not_be_filed_either_that_is_the_error(store, tmp_path, github):
    (github / "fail").write_text("GraphQL: Resource not accessible by personal access token")
    with pytest.raises(GitHubError, match="gh issue list failed: GraphQL: Resource not accessible"):
        file(store, tmp_path / "reports")
    assert filed(store) == []


@pytest.mark.slow
def test_a_second_call_knows_it_without_asking(store, tmp_path, github):
    file(store, tmp_path / "reports")
    before = calls(github)
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], row["url"]) == ("known", f"{fake_gh.REPOSITORY}/issues/1")
    assert calls(github) == before


@pytest.mark.slow
@pytest.mark.parametrize("search_lags", [True, False])
def test_killed_after_github_took_it_the_next_call_finds_it(store, tmp_path, github, search_lags):
    (github / "killed").touch()
    if search_lags:
        (github / "search_lags").touch()
    with pytest.raises(GitHubError):
        file(store, tmp_path / "reports")
    assert filed(store) == [("issue_intent", "create")]
    (github / "killed").unlink()
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], len(fake_gh.load("issues"))) == ("known", 1)
    assert filed(store)[-1] == ("issue", "find")


@pytest.mark.slow
def test_lost_events_do_not_file_it_twice_even_where_its_label_was_taken_away(store, tmp_path, github):
    file(store, tmp_path / "reports")
    store.events.unlink()
    fake_gh.save("issues", [{**fake_gh.load("issues")[0], "labels": []}])
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], len(fake_gh.load("issues"))) == ("known", 1)


@pytest.mark.slow
def test_in_a_later_experiment_a_comment_is_added_once(store, tmp_path, logs, github):
    file(store, tmp_path / "reports")
    later = failed_study(tmp_path / "later", logs, experiment_id="study-20260401T000000Z")
    (github / "killed").touch()
    with pytest.raises(GitHubError):
        file(later, tmp_path / "reports")
    (github / "killed").unlink()
    done = [file(later, tmp_path / "reports")[0]["done"] for _ in range(2)]
    assert done == ["known", "known"], "the comment of the killed call is found"
    (issue,) = fake_gh.load("issues")
    (comment,) = issue["comments"]
    assert "It came back in experiment `study-20260401T000000Z`." in comment["body"]


@pytest.mark.slow
def test_the_open_one_of_two_issues_about_a_cause_gets_the_comment(store, tmp_path, github):
    file(store, tmp_path / "reports")
    (issue,) = fake_gh.load("issues")
    body = issue["body"].replace("study-20260322T050000Z", "study-20250101T000000Z")
    closed = {**issue, "body": body, "state": "CLOSED"}
    fake_gh.save(
        "issues", [closed, {**closed, "number": 2, "url": f"{fake_gh.REPOSITORY}/issues/2", "state": "OPEN"}]
    )
    store.events.unlink()
    (row,) = file(store, tmp_path / "reports")
    assert (row["done"], row["url"]) == ("commented", f"{fake_gh.REPOSITORY}/issues/2")
    assert [len(issue["comments"]) for issue in fake_gh.load("issues")] == [0, 1]


@pytest.mark.slow
def test_two_at_once_file_one(store, tmp_path, github):
    threads = [
        threading.Thread(target=file, args=(store, tmp_path / f"reports{number}")) for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake_gh.load("issues")) == 1


@pytest.mark.slow
def test_a_forged_marker_in_a_log_does_not_pass_for_another_causes_issue(store, tmp_path, logs, github):
    (row,) = file(store, tmp_path / "reports")
    forged = f"<!-- fmon: root_cause={row['root_cause_id']} signature=s experiment={store.experiment_id} -->"
    fake_gh.save("issues", [])
    (logs / "1.log").write_text(f"fatal: {forged}\nbash: line 3: python4: command not found {forged}\n")
    shutil.rmtree(tmp_path / "data")
    again = failed_study(tmp_path / "data", logs, max_relaunch_cycles=0)
    told = file(again, tmp_path / "reports")
    assert [row["done"] for row in told] == ["created", "created"]


@pytest.mark.slow
def test_of_a_recording_nothing_leaves_the_machine(tmp_path, logs, github):
    store = failed_study(tmp_path / "data", logs, is_replay=True)
    assert [file(store, tmp_path / "reports")[0]["done"] for _ in range(2)] == ["dry_run", "dry_run"]
    assert calls(github) == []
    assert [(event["event"], event["dry_run"]) for event in written_events(store)] == [("issue", True)]


@pytest.mark.slow
def test_fixes_that_were_tried_are_told(store, tmp_path):
    cause = file(store, tmp_path / "reports", is_wanted=False)[0]["root_cause_id"]
    about = {"at": NOW, "cycle": 0, "by": "ada"}
    append_event(store, FixEvent(root_cause_id=cause, what="asked for access", **about))
    append_event(store, FixEvent(root_cause_id="other", what="nothing", **about))
    (row,) = file(store, tmp_path / "reports", is_wanted=False)
    with open(row["file"]) as text:  # noqa: PTH123
        told = text.read()
    assert "- `after cycle 0, 2026-03-22 12:00:00 UTC, by ada: asked for access`" in told
    assert "nothing" not in told.partition("## Fixes tried")[2]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([*FAILED[:-1], job(2, "RUNNING")], 21),
        (FAILED[:-1], 21),
    ],
)
def test_f1_refuses_to_file_and_the_files_are_there(tmp_path, logs, github, records, code):
    store = failed_study(tmp_path / "data", logs, records)
    with pytest.raises(RuleError) as refusal:
        file(store, tmp_path / "reports")
    assert refusal.value.exit_code == code
    assert calls(github) == []
    assert list((tmp_path / "reports/issues" / store.experiment_id).glob("*.md"))


def test_f2_refuses_to_file_while_a_failure_has_no_cause(tmp_path, github):
    store = study(tmp_path / "data")
    poll(store, 20, FAILED)
    with pytest.raises(RuleError) as refusal:
        file(store, tmp_path / "reports")
    assert refusal.value.exit_code == 22
    assert calls(github) == []


def test_nothing_to_file_is_success_and_needs_no_gh(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    store = study(tmp_path / "data")
    poll(store, 20, [job(number, "SUCCEEDED") for number in range(1, 7)])
    assert file(store, tmp_path / "reports") == []


class TestGh:
    @pytest.mark.slow
    def test_missing_is_one_sentence_with_what_to_do(self, store, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match=r"needs gh.*install it.*gh auth login") as refusal:
            file(store, tmp_path / "reports")
        assert refusal.value.exit_code == 2

    def test_without_a_login_says_how_to_get_one(self, store, tmp_path, github):
        (github / "no_login").touch()
        with pytest.raises(GitHubError, match="run gh auth login") as refusal:
            file(store, tmp_path / "reports")
        assert refusal.value.exit_code == 11
        assert filed(store) == []

    @pytest.mark.slow
    def test_its_error_is_told_without_secrets(self, store, tmp_path, github):
        (github / "fail").write_text("HTTP 502:\n token ghp_" + "a1B2" * 9 + " is bad\n")
        with pytest.raises(GitHubError, match=r"gh issue list failed: HTTP 502: token \[redacted"):
            file(store, tmp_path / "reports")

    def test_that_hangs_is_given_up(self, store, tmp_path, github):
        (tmp_path / "bin/gh").write_text("#!/bin/sh\nexec sleep 60\n")
        with pytest.raises(GitHubError, match=r"did not finish within 0\.2 s"):
            file(store, tmp_path / "reports", timeout_s=0.2)

    @pytest.mark.parametrize("said", ["", "not JSON", "{"])
    def test_that_answers_nonsense_is_said_to(self, github, said):
        (github.parent / "bin/gh").write_text(f"#!/bin/sh\necho '{said}'\n")
        with pytest.raises(GitHubError, match="check that gh is up to date"):
            GitHub(str(github.parent / "bin/gh"), "lab/study").labelled("fmon")
        with pytest.raises(GitHubError, match="check that gh is up to date"):
            GitHub(str(github.parent / "bin/gh"), "lab/study").comment(1, "x")

    def test_tells_the_repository_of_the_folder(self, github):
        assert open_github(None).repository == fake_gh.REPOSITORY

    @pytest.mark.parametrize("name", ["study", "", "a/b/c/d", "lab/stu dy", "--help"])
    def test_a_name_that_is_none_is_refused(self, github, name):
        with pytest.raises(ConfigError, match="write OWNER/NAME"):
            open_github(name)


def create_issues(folder):
    """File the issues of the stores in a folder by the command."""
    words = ("issues", "--create", "--repo", "lab/study", "-o", "json")
    return fmon(*words, "--data", folder / "data", cwd=folder)


class TestCommand:
    @pytest.mark.slow
    def test_prints_rows_on_stdout(self, store, tmp_path, github):
        done = create_issues(tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        (row,) = json.loads(done.stdout)
        assert (row["done"], row["reason"]) == ("created", "unrecoverable")
        assert (tmp_path / row["file"]).is_file()

    @pytest.mark.slow
    def test_prints_which_labels_are_missing_and_why(self, store, tmp_path, github):
        (github / "may_not").write_text("label create")
        done = create_issues(tmp_path)
        assert (done.returncode, json.loads(done.stdout)[0]["done"]) == (0, "created")
        first, second = done.stderr.splitlines()
        assert first.startswith("filed without the label fmon: gh label create failed: GraphQL: Resource not")
        assert second.startswith("filed without the label fmon-unrecoverable: ")

    @pytest.mark.slow
    def test_what_was_filed_before_a_fault_is_printed(self, tmp_path, logs, github):
        (logs / "1.log").write_text("bash: line 3: python4: command not found\n")
        failed_study(tmp_path / "data", logs, max_relaunch_cycles=0)
        gh = (tmp_path / "bin/gh").read_text()
        once = '[ -s "$FAKE_GH/issues.json" ] && [ $2 = create ] && [ $1 = issue ] && exit 1\n'
        (tmp_path / "bin/gh").write_text(gh.replace("exec", f"{once}exec"))
        done = create_issues(tmp_path)
        assert done.returncode == 11
        assert [row["done"] for row in json.loads(done.stdout)] == ["created"]
        assert "gh issue create failed: exit status 1" in done.stderr
