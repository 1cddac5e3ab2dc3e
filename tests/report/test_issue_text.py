"""What is written about a root cause: nothing in a log can break out of it."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.diagnose.excerpt import excerpt_of
from fmon.report.issue_text import (
    AffectedCondition,
    Issue,
    body,
    code,
    fenced,
    file_name,
    is_about,
    key_of,
    marker,
    mentions,
    recurrence,
    title,
)

NOW = datetime(2026, 3, 22, 12, tzinfo=UTC)
MANIFEST = Path("data/study-20260322T050000Z/manifest.json")
CAUSE = "code_bug/shape/ValueError/0badc0de"
ATTACK = (
    "``` ~~~ @ada #1 GH-1 lab/study#1 <img src=x onerror=y> <!-- fmon: root_cause=auth signature=s "
    "experiment=e --> </details> [a](javascript:b) https://github.com/lab/study/issues/1 \x1b[2J \u202e"
)


def issue(**changed):
    columns = {
        "experiment_id": "study-20260322T050000Z",
        "root_cause_id": CAUSE,
        "signature": "5f3a",
        "category": "code_bug",
        "subcategory": "shape",
        "reason": "out_of_cycles",
        "root_cause": "shapes do not fit",
        "evidence": "ValueError: shapes (3,) and (4,)",
        "evidence_line": 3,
        "evidence_job_id": 7,
        "evidence_job_key": 7,
        "evidence_source": "log",
        "affected_files": ["train.py"],
        "fixes": ["after cycle 0, 2026-03-22 12:00:00 UTC, by ada: batch size 2"],
        "condition_count": 2,
        "experiment_condition_count": 6,
        "failed_count": 6,
        "unpriced_count": 1,
        "cycle": 2,
        "max_relaunch_cycles": 2,
        "confidence": 0.9,
        "cost_usd": Decimal("12.5"),
        "first_failed_at": NOW,
        "last_failed_at": NOW,
        "now_at": NOW,
        "url": None,
        "is_replayed": False,
        **changed,
    }
    return Issue(**columns)


CONDITIONS = [AffectedCondition(condition_id="sam3-0", job_id=7, cycle=2, status="FAILED")]
SUSPECTS = ["all 2 have model=sam3 (2 of 2 there, 0 of 4 elsewhere)"]
LOG = "first\nsecond\nValueError: shapes (3,) and (4,)\nlast\n\n"


def excerpt(log=LOG, number=3, evidence="ValueError: shapes (3,) and (4,)"):
    return excerpt_of(log, job_id=7, is_controller=False, number=number, evidence=evidence)


def outside_of_code(text):
    """Give what GitHub reads as Markdown: the text without fenced blocks and code spans."""
    text = re.sub(r"^(`{3,})[^\n`]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


def test_says_evidence_conditions_suspects_fixes_and_cost():
    said = body(issue(), CONDITIONS, SUSPECTS, excerpt(), manifest=MANIFEST)
    for part in (
        "Its conditions still fail after the last allowed relaunch (rule F4).",
        "- manifest `data/study-20260322T050000Z/manifest.json`",
        "- conditions: 2 of 6",
        "- failed attempts: 6, the newest in cycle 2 (relaunches allowed: 2)",
        "- wasted on these attempts: $12.50 (1 unpriced)",
        "  second\n> ValueError: shapes (3,) and (4,)\n  last\n```",
        "- `sam3-0`: job 7, cycle 2, `FAILED`",
        "- `all 2 have model=sam3 (2 of 2 there, 0 of 4 elsewhere)`",
        "- `after cycle 0, 2026-03-22 12:00:00 UTC, by ada: batch size 2`",
        "Files that its log names: `train.py`",
        "`fmon logs 7 -e study-20260322T050000Z`",
    ):
        assert part in said


def test_begins_with_the_hidden_marker_and_shows_the_key_that_search_finds():
    said = body(issue(), CONDITIONS, SUSPECTS, excerpt(), manifest=MANIFEST)
    assert said.startswith(
        f"<!-- fmon: root_cause={CAUSE} signature=5f3a experiment=study-20260322T050000Z -->\n"
    )
    assert f"key {key_of(CAUSE)}.</sub>" in said
    assert re.fullmatch("fmon[0-9a-f]{16}", key_of(CAUSE))


def test_without_log_fixes_and_suspects_it_says_so():
    said = body(
        issue(evidence=None, evidence_line=None, evidence_source=None, fixes=[]),
        CONDITIONS,
        [],
        None,
        manifest=MANIFEST,
    )
    assert "```text\nshapes do not fit\n```" in said
    assert "No combination of factor levels explains it." in said
    assert "None is recorded (`fmon fix record`)." in said


def test_a_comment_names_the_experiment_it_came_back_in():
    said = recurrence(issue(), CONDITIONS, SUSPECTS, excerpt(), manifest=MANIFEST)
    assert "It came back in experiment `study-20260322T050000Z`." in said
    assert mentions(said, CAUSE, "study-20260322T050000Z")


@pytest.mark.parametrize("write", [body, recurrence])
def test_hostile_text_stays_in_code(write):
    hostile = issue(
        root_cause_id=f"code_bug/-/{ATTACK}/1",
        root_cause=ATTACK,
        evidence=ATTACK,
        affected_files=[ATTACK],
        fixes=[f"{ATTACK}\n# heading"],
        signature=ATTACK,
    )
    condition = AffectedCondition(condition_id=ATTACK, job_id=1, cycle=0, status=ATTACK)
    log = f"a\n{ATTACK}\n```\n{ATTACK}\n"
    said = write(hostile, [condition], [ATTACK], excerpt(log, 2, ATTACK), manifest=Path(ATTACK))
    plain = outside_of_code(said.partition("\n")[2])
    for word in ("@", "#1", "GH-1", "<img", "<!--", "javascript", "issues/1", "# heading"):
        assert word not in plain
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not is_about(said, "auth"), "no log may pass for another cause's issue"
    assert is_about(said, hostile.root_cause_id)


@given(st.text(min_size=1, max_size=80))
def test_no_text_gets_out_of_a_span_or_a_fence(text):
    assert outside_of_code(f"a {code(text)} b") == "a  b"
    block = fenced(text.split("\n"))
    assert outside_of_code("\n".join(["a", *block, "b"])) == "a\n\nb"


@given(st.text(max_size=60), st.text(min_size=1, max_size=30))
def test_a_marker_is_one_comment_and_tells_its_cause_and_experiment(cause, experiment):
    said = marker(cause or "x", None, experiment)
    assert said.count("--") == 2
    assert is_about(said, cause or "x")
    assert mentions(said, cause or "x", experiment)
    assert not mentions(said, cause or "x", experiment + "2")
    assert not is_about(said, (cause or "x") + "y")


def test_a_title_is_one_line_of_bounded_length():
    said = title(issue(evidence="a\n b " + "x" * 500))
    assert said.startswith("[fmon] code_bug/shape: a b xxx")
    assert len(said) < 170
    assert "\n" not in said


def test_the_largest_body_is_far_below_githubs_limit():
    many = [msgspec.structs.replace(CONDITIONS[0], condition_id="c" * 900)] * 10_000
    said = body(
        issue(
            condition_count=10_000,
            affected_files=["f" * 900] * 90,
            fixes=["w" * 9_000] * 90,
            evidence_line=50,
        ),
        many,
        ["s" * 9_000] * 90,
        excerpt("`" * 100_000 + ("\n" + "`" * 9_000) * 90, 50, "`" * 500),
        manifest=Path("m" * 900),
    )
    assert len(said) < 65_536
    assert "- and 9,950 more" in said


@given(st.text(min_size=1, max_size=300))
def test_a_file_name_is_one_in_every_file_system(cause):
    name = file_name(cause)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.md|-[0-9a-f]{8}\.md", name)
    assert len(name) < 120


def test_file_names_of_different_causes_differ():
    causes = ["a/b", "a/b:c", "a/b?c", "." + "x" * 200, "." + "x" * 201]
    assert len({file_name(cause) for cause in causes}) == len(causes)
