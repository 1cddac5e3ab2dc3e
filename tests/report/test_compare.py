"""Two experiments of different grids compared with each other: what is said, written and refused."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmon.errors import ManifestError, StoreError
from fmon.monitor.replay import replay
from fmon.report.compare import compare
from fmon.report.comparison import figures
from fmon.report.page.comparison import MAX_BYTES, render
from fmon.store.folder import find
from tests import golden
from tests.support.recordings import NAN, SECOND, both_passes, write_recording

pytestmark = pytest.mark.slow

FMON = Path(sys.executable).with_name("fmon")
HOSTILE = (
    "</style><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\u202e'\"&[bold]"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The stores of both passes and of a third one, in which the NaN of the second is gone and back again."""
    folder = tmp_path_factory.mktemp("passes")
    for recording in both_passes(folder):
        replay(recording, folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def change(data):
    return compare(data, ["first", "second"]).changes[0]


@pytest.fixture
def four(data, tmp_path) -> Path:
    """The same with a third pass that succeeded, and a fourth that died of the second one's NaN."""
    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    for day, name, error in ((29, "third_pass", None), (30, "fourth_pass", NAN)):
        config = SECOND.replace("second_pass", name)
        start = datetime(2026, 3, day, 5, tzinfo=UTC)

        def died_of(levels, error=error):
            return error if levels["model"] == "dynunet" else None

        replay(write_recording(tmp_path / name, config, start, died_of), copied)
    return copied


def run(*words: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([FMON, "compare", *words], capture_output=True, text=True, timeout=120)


def styleless(html: str) -> str:
    """Leave out the style, which the report's page brings, and its hash."""
    return re.sub("sha256-[^&']+", "HASH", re.sub(r"(?s)<style>.*</style>", "<style></style>", html))


def test_the_comparison_is_golden(data, tmp_path):
    done = run("first", "second", "--data", data, "--out-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    golden.check("compare.txt", done.stdout)
    (page,) = tmp_path.iterdir()
    assert done.stderr == f"page: {page}\n"
    assert page.name == "compare_first_pass-20260315T050100Z_second_pass-20260322T050100Z.html"
    golden.check("compare.html", styleless(page.read_text()))


def test_json_is_golden_and_one_object_per_pair(data):
    done = run("first", "second", "-o", "json", "--data", data)
    golden.check("compare.json", json.dumps(json.loads(done.stdout), indent=1) + "\n")
    (pair,) = json.loads(done.stdout)
    assert (pair["before_experiment_id"], pair["experiment_id"]) == (
        "first_pass-20260315T050100Z",
        "second_pass-20260322T050100Z",
    )


def test_conditions_are_matched_by_common_levels_and_the_rest_is_counted(change):
    assert change.conditions == {
        "matched_cell_count": 9,
        "before_condition_count": 19,
        "after_condition_count": 25,
        "before_matched_count": 9,
        "after_matched_count": 17,
    }
    assert {row["side"] for row in change.outside} == {"before", "after"}
    assert sum(len(row["condition_ids"]) for row in change.outside) == 19 + 25 - 9 - 17


def test_each_cause_is_judged_by_what_became_of_the_cells_it_struck(change):
    assert [(row["change"], row["category"]) for row in change.causes] == [
        ("new", "import_error"),
        ("new", "nan_divergence"),
        ("recurring", "cuda_oom"),
        ("unproven", "data_missing"),
        ("fixed", "import_error"),
    ]


def test_a_suspect_is_the_same_although_the_configs_order_their_factors_otherwise(change):
    assert [(row["side"], row["combination"]) for row in change.suspects] == [
        ("after", {"model": "mamba"}),
        ("both", {"loss": "cldice", "model": "sam3"}),
        ("before", {"loss": "dice", "model": "sam3"}),
    ]


def test_what_is_looked_for_first_stands_first_and_says_what_it_is_of(change):
    assert figures(change) == [
        ("succeeded", "5 of 9 → 12 of 17", "in common"),
        ("cost per success", "$0.28 → $0.26", "in common"),
        ("causes fixed", "1 of 3", "2 new, 1 recurring, 1 unproven"),
        ("conditions recovered", "2", "1 regressed"),
        ("detection delay", "45 s → 48 s", "in all"),
    ]


@pytest.mark.slow
def test_each_of_several_is_held_against_the_one_before_it_and_old_errors_are_known_again(four, tmp_path):
    compared = compare(four, ["first", "second", "third", "fourth"], out=tmp_path / "out")
    assert [change.experiment_id.split("-")[0] for change in compared.changes] == [
        "second_pass", "third_pass", "fourth_pass",
    ]  # fmt: skip
    assert compared.html.name == "compare_first_pass-20260315T050100Z_fourth_pass-20260330T050100Z_4.html"
    assert compared.html.read_text().count('<section class="pair"') == 3
    third, fourth = compared.changes[1:]
    assert {row["category"]: row["change"] for row in third.causes}["nan_divergence"] == "fixed"
    (back,) = fourth.causes
    assert (back["change"], back["earlier_count"]) == ("returned", 1)
    assert {row["change"] for row in fourth.state_changes} == {"regressed"}


@pytest.mark.slow
def test_an_error_of_an_experiment_that_is_not_compared_is_not_new(four):
    (change,) = compare(four, ["third", "fourth"]).changes
    assert [row["change"] for row in change.causes] == ["returned"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["first"], "two or more experiments"),
        (["first", "first_pass"], "can't be compared with itself"),
        (["first", "nothing"], "starts with 'nothing'"),
    ],
)
def test_what_can_not_be_compared_is_refused_in_one_sentence(data, words, said):
    done = run(*words, "--data", data)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_broken_one_of_the_two_is_refused_and_a_broken_other_is_left_out(four):
    find(four, "third").manifest.write_text("{")
    with pytest.raises(ManifestError), pytest.warns(UserWarning, match="left out"):
        compare(four, ["second", "third"])
    with pytest.warns(UserWarning, match="left out"):
        assert len(compare(four, ["first", "second"]).changes) == 1


@pytest.mark.slow
def test_a_page_that_can_not_be_written_is_said(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        compare(data, ["first", "second"], out=tmp_path / "file")


@pytest.mark.slow
def test_nothing_in_common_is_said(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    config = "experiment_name: other\nskypilot_yaml: train.yaml\nfactors: {width: [1, 2]}\n"
    recording = write_recording(tmp_path / "r", config, datetime(2026, 4, 1, tzinfo=UTC), lambda _: None)
    replay(recording, tmp_path / "data")
    compared = compare(tmp_path / "data", ["second", "other"], out=tmp_path)
    (change,) = compared.changes
    assert change.conditions["matched_cell_count"] == 0
    assert (change.matched_summary, change.state_changes) == ([], [])
    assert "No condition in common." in compared.html.read_text()


class TestPage:
    def test_allows_its_own_style_and_nothing_else(self, change):
        html = render([change])
        (style,) = re.findall(r"(?s)<style>(.*?)</style>", html)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
        assert policy.replace("&#39;", "'").startswith(
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri"
        )
        assert not re.findall(r"<script|<img|<link|src=|href=(?!\"#main\")| on\w+=| style=", html)

    def test_hostile_text_only_shows_itself(self, change):
        cause = {**change.causes[0], "root_cause": HOSTILE, "category": HOSTILE, "signature": HOSTILE}
        state_change = {**change.state_changes[0], "cell": {HOSTILE: HOSTILE}, "after_categories": [HOSTILE]}
        suspect = {**change.suspects[0], "after_statement": HOSTILE, "combination": {HOSTILE: HOSTILE}}
        row = {**change.coverage[0], "factor": HOSTILE, "level": HOSTILE}
        outside = {**change.outside[0], "cell": {"a": HOSTILE}, "condition_ids": [HOSTILE]}
        changed = replace(
            change,
            causes=[cause],
            state_changes=[state_change],
            suspects=[suspect],
            coverage=[row],
            outside=[outside],
        )
        html = render([changed])
        assert not re.findall(r"<script|<img|\x1b|\u202e", html)
        assert html.count("&lt;script&gt;") >= 8

    @pytest.mark.slow
    def test_stays_below_a_megabyte_and_says_what_it_leaves_out(self, change):
        state_changes = [{**change.state_changes[0], "cell": {"factor": "x" * 5_000}} for _ in range(20_000)]
        outside = [{**change.outside[0], "condition_ids": ["y" * 300] * 50} for _ in range(20_000)]
        html = render([replace(change, state_changes=state_changes, outside=outside)] * 40)
        assert len(html.encode()) <= MAX_BYTES
        assert re.search(r"19,\d+ more; see fmon compare -o json", html)
        assert re.search(r"\d+ more pairs", html)


def test_conditions_match_by_the_value_of_their_levels(tmp_path):
    """Numbers are equal however they are written; text is never a number."""
    start = datetime(2026, 3, 22, 5, tzinfo=UTC)
    head = "experiment_name: {}\nskypilot_yaml: train.yaml\nfactors: {{lr: [{}], tag: [x]}}\n"
    for number, levels in enumerate(["1e-4, 2, '0.5'", "0.0001, 2.0, 0.5"]):
        config = head.format(f"pass_{number}", levels)
        recording = write_recording(tmp_path / str(number), config, start, lambda levels: None)
        replay(recording, tmp_path / "data")
    found = compare(tmp_path / "data", ["pass_0", "pass_1"]).changes[0]
    assert found.conditions["matched_cell_count"] == 2
    assert sorted(row["condition_ids"] for row in found.outside) == [["0.5-x"], ["0.5-x"]]
