"""Every section of the page in every state that it has, from nothing launched to 100,000 conditions."""

import html as entities
import re

import pytest

from fmon.events import CycleAuthorizedEvent
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import Entry
from fmon.monitor.classify import examine
from fmon.monitor.replay import replay
from fmon.report.page.document import MAX_BYTES
from fmon.report.report import report
from fmon.store.events import append_event
from fmon.store.job_logs import log_path, save_log
from fmon.study import open_study
from tests.support import ROOT
from tests.support.factorial import AT_A_TIME, END, make
from tests.support.reported import Page, written
from tests.support.studies import at, job, poll, relaunched, study

OOM = """\
epoch 1
Traceback (most recent call last):
  File "/app/train.py", line 8, in fit
    loss = model(batch)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.
srun: error: node1: task 0: Exited with exit code 1
"""


def section(html: str, name: str) -> str:
    """Give the text of one section."""
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    assert found, f"no section {name}"
    return Page(found[0]).text


def examined(store, logs=()):
    """Store logs by job, and look for causes in what is stored."""
    for name, text in dict(logs).items():
        save_log(store, name, text)
    examine(store, read_manifest(store), None, now=at(12))
    return store


@pytest.fixture(scope="module")
def factorial(tmp_path_factory):
    """The page of a large grid in its second cycle, with fixes in between."""
    folder = tmp_path_factory.mktemp("factorial")
    make(folder / "data", folder / "config")
    return report(open_study(folder / "data"), folder, now=END).html.read_text()


class TestNothing:
    @pytest.mark.slow
    def test_launched(self, tmp_path):
        store = study(tmp_path / "data")
        manifest = read_manifest(store)
        for entry in manifest.jobs:
            entry.job_id = None
        write_manifest(store, manifest)
        html = written(tmp_path).html.read_text()
        overview = section(html, "overview")
        assert "Nothing has been launched yet: 6 conditions planned. Nothing has been spent yet." in overview
        assert "6 missing" in overview
        assert "No attempt has failed." in overview
        assert "No job has been seen yet." in section(html, "timeline")
        assert "No job has been seen yet." in section(html, "cost")
        assert "Nothing has been launched, diagnosed or fixed yet." in section(html, "history")
        assert "0 polls, 0 failed." in section(html, "polls")
        assert "No alarm was raised." in section(html, "alarms")

    @pytest.mark.slow
    def test_failed(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(number, "SUCCEEDED") for number in range(1, 7)])
        html = written(tmp_path).html.read_text()
        assert "All 6 conditions succeeded. $1.30 spent in all." in section(html, "overview")
        assert "No attempt has failed." in section(html, "causes")
        assert "It has not fired." in section(html, "history")
        assert "failures were noticed" not in section(html, "polls")

    @pytest.mark.slow
    def test_in_the_grid_but_baselines(self, tmp_path):
        names = ("sam3_vanilla", "vesselfm")
        entries = [
            Entry(condition=name, kind="baseline", factors={"model": name}, job_name=name, job_id=number)
            for number, name in enumerate(names, start=1)
        ]
        factors = {"model": list(names)}
        store = study(tmp_path / "data", factors, jobs=entries, expected_job_count=len(entries))
        poll(store, 11, [job(1, "SUCCEEDED"), job(2)])
        html = written(tmp_path).html.read_text()
        assert "1 of 2 conditions succeeded so far; 1 is running." in section(html, "overview")
        assert re.findall(r"<b>(\d/\d)</b>", html) == ["1/1", "0/1"]

    @pytest.mark.slow
    def test_not_even_a_factor(self, tmp_path):
        entries = [Entry(condition="zero", kind="baseline", factors={}, job_name="zero", job_id=1)]
        store = study(tmp_path / "data", {}, jobs=entries, expected_job_count=len(entries))
        poll(store, 11, [job(1, "SUCCEEDED")])
        html = written(tmp_path).html.read_text()
        assert "The only condition succeeded." in section(html, "overview")
        assert 'id="grid"' not in html
        assert "#grid" not in re.findall(r'href="([^"]+)"', html)


class TestCauses:
    @pytest.mark.slow
    def test_a_log_is_shown_around_its_marked_line(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(1, "FAILED"), *(job(number, "SUCCEEDED") for number in range(2, 7))])
        examined(store, {"1.log": OOM})
        html = written(tmp_path).html.read_text()
        (marked,) = re.findall(r"<mark><i>(\d+)</i>(.*?)</mark>", html)
        assert marked == ("5", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.")
        causes = section(html, "causes")
        assert "The log of job 1, 6 lines; entire log: fmon logs 1" in causes
        for expected in ("remedy config", "confidence 95%", "runner-up", "Lower the batch", "/app/train.py"):
            assert expected in causes

    @pytest.mark.slow
    def test_the_controllers_log_is_shown_where_it_decided(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        poll(store, 11, [job(1, "FAILED_CONTROLLER")])
        examined(store, {"1.controller.log": OOM})
        causes = section(written(tmp_path).html.read_text(), "causes")
        assert "The controller's log of job 1, 6 lines; entire log: fmon logs 1 --controller" in causes

    @pytest.mark.slow
    def test_without_its_log_the_line_that_decided_is_shown_all_the_same(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        poll(store, 11, [job(1, "FAILED")])
        examined(store, {"1.log": OOM})
        log_path(store, "1.log").unlink()
        html = written(tmp_path).html.read_text()
        assert "The line that determined the cause; its log is not stored" in section(html, "causes")
        assert "<mark>torch.OutOfMemoryError" in html

    @pytest.mark.slow
    def test_the_reason_of_skypilot_is_evidence_too(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        reason = "Failed to acquire resources in all zones in us-central1 for {L4:1}."
        poll(store, 11, [job(1, "FAILED_NO_RESOURCE", failure_reason=reason)])
        examined(store)
        html = written(tmp_path).html.read_text()
        assert "SkyPilot's failure reason" in section(html, "causes")
        assert entities.escape(reason) in re.search("<mark>(.*?)</mark>", html)[1]

    @pytest.mark.slow
    def test_failures_that_nobody_has_examined_are_there_and_say_what_examines_them(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(1, "FAILED"), job(2, "FAILED"), job(3, "SUCCEEDED")])
        html = written(tmp_path).html.read_text()
        assert "2 failed and none of them examined yet" in section(html, "overview")
        causes = section(html, "causes")
        assert "The logs of these failures have not been read yet: fmon poll reads them." in causes
        assert "confidence" not in causes
        assert "c1 job 1 , c2 job 2" in causes

    @pytest.mark.slow
    def test_what_was_made_good_is_no_cause_any_more_but_still_in_the_costs(self, tmp_path):
        store = study(tmp_path / "data", {"cell": [0]})
        poll(store, 11, [job(1, "FAILED")])
        examined(store, {"1.log": OOM})
        manifest = read_manifest(store)
        relaunched(manifest.jobs[0], 2)
        manifest.current_cycle = 1
        write_manifest(store, manifest)
        poll(store, 25, [job(1, "FAILED"), job(2, "SUCCEEDED")])
        html = written(tmp_path).html.read_text()
        assert "all earlier failures have recovered" in section(html, "overview")
        assert "No condition is failed now" in section(html, "causes")
        assert "cuda_oom / torch 0 1 1 of 1 $0.22" in section(html, "cost")

    @pytest.mark.slow
    def test_a_cause_without_a_suspect_says_so(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(1, "FAILED"), *(job(number, "SUCCEEDED") for number in range(2, 7))])
        examined(store, {"1.log": OOM})
        html = written(tmp_path).html.read_text()
        assert "No level or pair of levels explains cuda_oom." in section(html, "overview")
        assert "explains it beyond chance" in section(html, "causes")


@pytest.mark.slow
class TestFactorial:
    def test_suspects_come_with_their_counter_evidence(self, factorial):
        causes = section(factorial, "causes")
        assert "All 15 failures are calibrated=true and fold=2 (15 of 16 there, 0 of 79 elsewhere)" in causes
        assert "0 of 79, 7 with another cause" in causes
        assert "family-wise error <= 0.05" in causes

    def test_causes_stand_against_every_level(self, factorial):
        table = re.search(r'<table class="matrix levels">.*?</table>', factorial, re.DOTALL)[0]
        groups = re.findall(r'scope="rowgroup"[^>]*>(\w+)', table)
        assert groups[:4] == ["model_family", "loss_name", "calibrated", "fold"]
        text = Page(table).text
        assert "sam3_lora 24 3 of 24 lift 0.8 6 of 24 lift 4.0 0" in text

    def test_the_history_tells_what_was_done_in_order(self, factorial):
        history = section(factorial, "history")
        steps = [
            "first launch: 96 jobs",
            "kill switch",
            "26 failures with 3 root causes",
            "batch size 4",
            "by anna",
        ]
        steps += ["was broken", "was intact", "relaunch, cycle 1: 11 jobs"]
        places = [history.index(step) for step in steps]
        assert places == sorted(places)

    def test_firings_of_the_kill_switch_say_why_they_propose_nothing(self, factorial):
        history = section(factorial, "history")
        assert "the same error (cuda_oom)" in history
        assert "is open before the failure point" in history

    def test_the_audit_says_what_was_not_kept_and_why(self, factorial):
        audit = section(factorial, "audit")
        assert "1 of 10 rules and criteria was not followed." in audit
        assert re.search(r"failures aggregated . no no diagnosis of cycle 1 names", audit)

    def test_the_timeline_says_how_many_ran_at_a_time(self, factorial):
        assert f"107 attempts; at most {AT_A_TIME} ran at the same time." in section(factorial, "timeline")

    def test_gaps_failed_polls_and_detection_are_told(self, factorial):
        polls = section(factorial, "polls")
        assert re.search(r"usually 4 min 00 s apart, at most 5\d min", polls)
        assert "31 failures were noticed 2 min 16 s after they happened (median), at most" in polls
        assert re.search("3 . ApiServerConnectionError", polls)

    def test_cost_says_what_failures_burned_by_cycle_cause_and_level(self, factorial):
        cost = section(factorial, "cost")
        for part in ("By cycle", "By cause", "By model_family", "By loss_name", "By calibrated", "By fold"):
            assert part in cost
        assert "without a price" not in cost


@pytest.mark.slow
def test_a_replay_says_that_its_clock_is_that_of_a_recording(tmp_path):
    replayed = replay(ROOT / "data/demo", tmp_path)
    html = report(open_study(tmp_path, replayed.experiment_id), tmp_path).html.read_text()
    assert "2026-11-23 23:07:51 UTC, the end of a recording" in Page(html).text


@pytest.mark.slow
def test_jobs_without_a_price_are_a_column_where_there_are_any(tmp_path):
    store = study(tmp_path / "data", {"cell": [0]})
    poll(store, 11, [job(1, "SUCCEEDED", price_usd_per_h=None)])
    html = written(tmp_path).html.read_text()
    assert "The cost is unknown: 1 job has no price." in section(html, "overview")
    assert "without a price" in section(html, "cost")


@pytest.mark.slow
def test_words_of_people_are_told_with_their_names(tmp_path):
    store = study(tmp_path / "data", {"cell": [0]})
    append_event(store, CycleAuthorizedEvent(at=at(1), cycle=3, budget_usd=2.5, by="bert"))
    assert "authorization cycle 3 cycle 3 may cost 2.50 USD by bert" in section(
        written(tmp_path).html.read_text(), "history"
    )


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000, marks=pytest.mark.slow),
        pytest.param(100_000, marks=pytest.mark.slow),
    ],
)
def test_the_largest_grids_with_long_logs_stay_below_a_megabyte(tmp_path, count):
    levels = {"a": list(range(100)), "b": list(range(100)), "c": list(range(count // 10_000))}
    store = study(tmp_path / "data", levels)
    records = [job(number, "FAILED") for number in range(1, 400)]
    poll(store, 11, [*records, *(job(number, "SUCCEEDED") for number in range(400, count + 1))])
    dying = OOM.replace("torch.OutOfMemoryError: CUDA", "Error{:03d}Error: bad" * 40)
    examined(store, {f"{number}.log": dying.replace("{:03d}", f"{number:03d}") for number in range(1, 60)})
    reported = written(tmp_path)
    assert reported.html.stat().st_size <= MAX_BYTES
    html = reported.html.read_text()
    assert f"{count - 399:,} of {count:,} conditions succeeded; 399 failed with " in section(html, "overview")
    assert re.search(r"\d+ more causes; see the JSONL", section(html, "causes"))
    assert f"500 of {count:,} conditions, those that need attention first" in section(html, "conditions")
    assert "60 more levels of a; see the JSONL." in section(html, "overview")
    assert len(reported.jsonl.read_text().splitlines()) == count + 1
