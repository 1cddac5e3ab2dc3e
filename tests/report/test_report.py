"""The report: both files, and what the manifest takes from it."""

import base64
import hashlib
import json
import re

import pytest

from fmon.errors import StoreError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.monitor.replay import replay
from fmon.report import report as phase
from fmon.report.page.render import MAX_BYTES, SIZES
from fmon.report.report import report
from fmon.study import open_study
from tests import golden
from tests.support import ROOT
from tests.support.reported import Page, mixed_study, objects, written
from tests.support.studies import FACTORS, NAME, job, poll, relaunched, study

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\u202e'\"&[bold]"
)


TEMPLATE = (
    "condition", "job_id", "status", "start_time", "end_time", "duration_seconds", "cost_usd",
    "mlflow_run_id", "failure_category", "failure_root_cause", "relaunch_batch",
)  # fmt: skip
"""The keys of an entry in the study's template, except its factors."""


@pytest.fixture
def mixed(tmp_path):
    return mixed_study(tmp_path / "data")


class TestJsonl:
    @pytest.mark.slow
    def test_has_one_object_per_condition_and_then_the_summary(self, mixed, tmp_path):
        conditions, summary = objects(written(tmp_path))
        assert [each["condition_id"] for each in conditions] == ["c1", "c2", "c3", "c4", "c5", "c6"]
        assert [each["state"] for each in conditions] == [
            "succeeded", "failed", "running", "succeeded", "pending", "missing",
        ]  # fmt: skip
        assert summary["summary"] is True
        assert summary["experiment_id"] == NAME
        counts = {name: summary[f"{name}_count"] for name in ("condition", "succeeded", "failed", "missing")}
        assert counts == {"condition": 6, "succeeded": 2, "failed": 1, "missing": 1}
        assert (summary["cost_usd"], summary["unpriced_count"]) == (1.3001, 1)
        assert summary["polls"]["failed_count"] == 1
        assert [cycle["cycle"] for cycle in summary["cycles"]] == [0, 1]
        assert summary["alarms"][0]["kind"] == "failed_setup"

    @pytest.mark.slow
    def test_a_condition_carries_what_happened_to_it(self, mixed, tmp_path):
        failed = objects(written(tmp_path))[0][1]
        assert failed["factors"] == {"model": "dynunet", "fold": 1}
        assert failed["failure_reason"] == "no disk"
        assert (failed["start_at"], failed["end_at"]) == ("2026-03-22T05:00:00Z", "2026-03-22T05:10:00Z")
        assert (failed["run_s"], failed["cost_usd"], failed["status"]) == (600, 0.2167, "FAILED_SETUP")

    @pytest.mark.slow
    def test_attempts_come_in_order_with_prices_and_their_source(self, mixed, tmp_path):
        attempts = objects(written(tmp_path))[0][3]["attempts"]
        assert [(each["cycle"], each["job_id"], each["status"]) for each in attempts] == [
            (0, 4, "FAILED"),
            (1, 14, "SUCCEEDED"),
        ]
        assert (attempts[0]["price_usd_per_h"], attempts[0]["price_source"]) == (1.3, "config")
        assert (attempts[1]["price_usd_per_h"], attempts[1]["cost_usd"]) == (None, None)

    @pytest.mark.slow
    def test_what_was_never_seen_or_launched_is_null_and_not_left_out(self, mixed, tmp_path):
        conditions, _ = objects(written(tmp_path))
        (unseen,) = conditions[4]["attempts"]
        assert (unseen["job_id"], unseen["role"], unseen["status"]) == (5, "attempt", None)
        assert (conditions[5]["job_id"], conditions[5]["attempts"]) == (None, [])

    @pytest.mark.slow
    def test_levels_keep_their_type(self, tmp_path):
        levels = [0, "0x", True, 1.5, 1e-05, "false ", 2**60]
        study(tmp_path / "data", {"cell": levels})
        found = [each["factors"]["cell"] for each in objects(written(tmp_path))[0]]
        assert [(type(level), level) for level in found] == [(type(level), level) for level in levels]

    @pytest.mark.slow
    def test_a_failed_attempt_has_the_time_until_a_poll_showed_it(self, mixed, tmp_path):
        """Jobs 2 and 4 ended after 10 min, and the first poll was a minute later."""
        conditions, _ = objects(written(tmp_path))
        found = {
            each["job_id"]: each["detection_latency_s"] for line in conditions for each in line["attempts"]
        }
        assert {job_id: found[job_id] for job_id in (1, 2, 3, 4, 14)} == {
            1: None,
            2: 60,
            3: None,
            4: 60,
            14: None,
        }

    @pytest.mark.slow
    def test_the_summary_has_the_root_causes_with_their_counts(self, mixed, tmp_path):
        reported = written(tmp_path)
        (cause,) = objects(reported)[1]["root_causes"]
        assert (cause["root_cause_id"], cause["category"], cause["failed_count"]) == (
            "unknown/unexamined", "unknown", 1,
        )  # fmt: skip
        assert reported.sentence == (
            f"{NAME}: 2 succeeded, 1 failed, 1 running, 1 pending, 1 missing; "
            "root causes: unknown/unexamined (1); total $1.30 (estimate, 1 unpriced)"
        )

    @pytest.mark.slow
    def test_without_a_failure_the_sentence_names_no_cause(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0, 1]})
        poll(store, 11, [job(1, "SUCCEEDED"), job(2, "SUCCEEDED")])
        assert written(tmp_path).sentence == f"{NAME}: 2 succeeded, 0 failed; total $0.43 (estimate)"

    @pytest.mark.slow
    def test_fractions_of_seconds_stay(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        poll(store, 11, [job(1, "SUCCEEDED", minutes=10 + 0.25 / 60)])
        assert objects(written(tmp_path))[0][0]["end_at"] == "2026-03-22T05:10:00.25Z"

    @pytest.mark.slow
    def test_hostile_text_reads_back_as_it_was(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [HOSTILE]})
        poll(store, 11, [job(1, "FAILED", failure_reason=HOSTILE + "\nsecond line")])
        (condition,), _ = objects(written(tmp_path))
        assert condition["factors"] == {"cell": HOSTILE}
        assert condition["failure_reason"] == HOSTILE + "\nsecond line"


class TestPage:
    @pytest.mark.slow
    def test_tells_the_headline_the_alarms_and_the_failures(self, mixed, tmp_path):
        text = Page(written(tmp_path).html.read_text()).text
        for expected in (
            "2 of 6 conditions succeeded so far",
            "1 failed",
            "cost so far $1.30 (1 unpriced)",
            "failed_setup: c2: job 2 failed in setup",
            "FAILED_SETUP: 1 condition",
            "no disk",
            "3 polls, 1 failed",
            "ClusterNotUpError",
        ):
            assert expected in text

    @pytest.mark.slow
    def test_shows_the_first_two_factors_as_a_table_without_javascript(self, mixed, tmp_path):
        html = written(tmp_path).html.read_text()
        table = re.search(r'<table id="matrix".*?</table>', html, re.DOTALL)[0]
        assert re.findall(r'<th scope="\w+">(\w+)', table) == ["0", "1", "2", "dynunet", "sam3"]
        assert re.findall(r'<td class="(\w+)"><b>([^<]*)</b>(?:<span>([^<]*))?', table) == [
            ("good5", "1/1", ""), ("bad5", "0/1", "1 failed"), ("good0", "0/1", "1 running"),
            ("good5", "1/1", ""), ("good0", "0/1", "1 pending"), ("good0", "0/1", "1 missing"),
        ]  # fmt: skip

    @pytest.mark.slow
    def test_asks_no_network_and_allows_nothing_but_its_own_style_and_script(self, mixed, tmp_path):
        html = written(tmp_path).html.read_text()
        page = Page(html)
        assert page.fetched
        assert all(re.fullmatch(r"#[\w-]+", target) for target in page.fetched), "links within the page"
        assert not re.search(r"https?://|url\(|@import", html)
        assert page.handlers == []
        style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
        hashes = [
            base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            for text in (style, page.scripts[-1])
        ]
        assert page.policy == (
            f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
            "base-uri 'none'; form-action 'none'"
        )

    @pytest.mark.slow
    def test_hostile_text_is_shown_and_does_nothing(self, tmp_path):
        factors = {HOSTILE: [HOSTILE, 1], "fold": [HOSTILE, 0]}
        store = study(tmp_path / "data", factors)
        poll(store, 11, [job(number, "FAILED", failure_reason=HOSTILE * 20) for number in (1, 2)])
        poll(store, 12, None, error=HOSTILE)
        html = written(tmp_path).html.read_text()
        page = Page(html)
        assert len(page.scripts) == 1
        assert page.handlers == []
        assert all(re.fullmatch(r"#[\w-]+", target) for target in page.fetched)
        assert "document.title='owned'" in page.text
        assert "\\x1b[31m\\u202e" in page.text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", html)

    @pytest.mark.slow
    def test_failures_with_the_same_reason_are_one_whatever_number_the_job_has(self, tmp_path):
        store = study(tmp_path / "data")
        reason = "exit code 1. To see the details, run: sky jobs logs --controller {}"
        poll(
            store, 11, [job(number, "FAILED", failure_reason=reason.format(number)) for number in range(1, 7)]
        )
        text = Page(written(tmp_path).html.read_text()).text
        assert text.count("exit code 1.") == 1
        assert "FAILED: 6 conditions" in text
        assert "c1 c2 c3 c4 c5 c6" in text

    @pytest.mark.slow
    def test_gaps_of_the_polls_are_listed(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        for minute in (0, 1, 2, 3, 33, 34):
            poll(store, minute, [job(1)])
        text = Page(written(tmp_path, 34).html.read_text()).text
        assert "usually 1 min 00 s apart, at most 30 min 00 s" in text
        assert "30 min 00 s before poll 5 at 2026-03-22 05:33:00 UTC" in text

    @pytest.mark.slow
    def test_a_store_without_polls_and_with_one_factor_has_a_page(self, tmp_path):
        study(tmp_path / "data", {"cell": [0, 1]})
        text = Page(written(tmp_path).html.read_text()).text
        assert "No poll has shown a job yet: 2 conditions in the manifest." in text
        assert "No job has been seen yet." in text
        assert "cell by all: outcome" in text

    @pytest.mark.slow
    def test_six_thousand_hostile_conditions_stay_below_a_megabyte_and_nothing_is_dropped_silently(
        self, tmp_path
    ):
        levels = [f"{number:03d}" + HOSTILE * 3 for number in range(100)]
        store = study(tmp_path / "data", {"a": levels, "b": levels[:30], "c": [HOSTILE * 4, "x"]})
        reasons = [f"{number}{HOSTILE * 100}"[:10_000] for number in range(500)]
        records = [job(number + 1, "FAILED", failure_reason=reason) for number, reason in enumerate(reasons)]
        records += [job(number, "SUCCEEDED") for number in range(501, 5_001)]
        poll(store, 11, records)
        reported = written(tmp_path)
        assert reported.html.stat().st_size <= MAX_BYTES
        text = Page(reported.html.read_text()).text
        for pattern in (
            r"4,500 of 6,000 conditions succeeded",
            r"5,000 attempts; .* more; see the JSONL",
            r"\d+ more levels; see the JSONL",
            r"4\d\d more reasons; see the JSONL",
            r"of 6,000 conditions, those that need attention first",
            r"\d more; see the JSONL",
        ):
            assert re.search(pattern, text), pattern
        conditions, summary = objects(reported)
        assert (len(conditions), summary["failed_count"]) == (6_000, 500)

    @pytest.mark.slow
    def test_five_thousand_ordinary_conditions_are_all_listed(self, tmp_path):
        store = study(tmp_path / "data", {"a": list(range(50)), "b": list(range(100))})
        poll(store, 11, [job(number, "SUCCEEDED") for number in range(1, 5_001)])
        reported = written(tmp_path)
        assert reported.html.stat().st_size <= MAX_BYTES
        assert "5,000 of 5,000 conditions" in Page(reported.html.read_text()).text
        assert SIZES[0].conditions == 5_000


class TestManifest:
    @pytest.mark.slow
    def test_has_the_values_of_the_report(self, mixed, tmp_path):
        """Under the same names: a reader of both needs no table of synonyms."""
        conditions, summary = objects(written(tmp_path))
        manifest = json.loads(mixed.manifest.read_text())
        assert (manifest["as_of"], manifest["total_cost_usd"]) == (summary["as_of"], summary["cost_usd"])
        assert [{name: line[name] for name in TEMPLATE} for line in conditions] == [
            {name: entry[name] for name in TEMPLATE} for entry in manifest["jobs"]
        ]
        for line, entry in zip(conditions, manifest["jobs"], strict=True):
            assert line["factors"] == {name: entry[name] for name in manifest["factors"]}

    @pytest.mark.slow
    def test_a_condition_that_got_another_job_meanwhile_keeps_what_it_has(self, mixed, tmp_path, monkeypatch):
        write_page = phase.render

        def attach_meanwhile(facts):
            manifest = read_manifest(mixed)
            relaunched(manifest.jobs[1], 22)
            write_manifest(mixed, manifest)
            return write_page(facts)

        monkeypatch.setattr(phase, "render", attach_meanwhile)
        written(tmp_path)
        entry = read_manifest(mixed).jobs[1]
        assert (entry.job_id, entry.status, len(entry.attempts)) == (22, None, 1)


@pytest.mark.slow
def test_a_report_again_gives_the_same_bytes(mixed, tmp_path):
    first = written(tmp_path)
    kept = [first.jsonl.read_bytes(), first.html.read_bytes()]
    again = written(tmp_path)
    assert [again.jsonl.read_bytes(), again.html.read_bytes()] == kept


@pytest.mark.slow
@pytest.mark.parametrize("at_a_time", [1, 4, 6])
def test_lines_are_the_same_however_many_are_asked_for_at_a_time(mixed, tmp_path, monkeypatch, at_a_time):
    whole = written(tmp_path).jsonl.read_bytes()
    monkeypatch.setattr(phase, "BATCH_SIZE", at_a_time)
    assert written(tmp_path).jsonl.read_bytes() == whole


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_a_sentence(mixed, tmp_path):
    (tmp_path / "reports").write_text("a file stands here")
    with pytest.raises(StoreError, match="reports"):
        written(tmp_path)


@pytest.mark.slow
def test_the_name_of_the_files_carries_the_experiment(mixed, tmp_path):
    reported = written(tmp_path)
    assert reported.jsonl.name == f"factorial_run_{NAME}.jsonl"
    assert reported.html.name == f"factorial_run_{NAME}.html"
    assert len(list(reported.html.parent.iterdir())) == 2


@pytest.mark.slow
def test_the_factors_to_begin_with_have_two_levels_or_more(tmp_path):
    store = study(tmp_path / "data", {"fixed": ["only"], **FACTORS})
    poll(store, 11, [job(1, "SUCCEEDED")])
    assert "model by fold: outcome" in Page(written(tmp_path).html.read_text()).text


def test_the_report_of_the_demo_is_golden(tmp_path):
    replayed = replay(ROOT / "data/demo", tmp_path)
    reported = report(open_study(tmp_path, replayed.experiment_id), tmp_path / "reports")
    golden.check("demo.jsonl", reported.jsonl.read_text(encoding="utf-8"))
    golden.check("demo.html", reported.html.read_text(encoding="utf-8"))
