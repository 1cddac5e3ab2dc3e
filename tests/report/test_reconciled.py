"""What SkyPilot itself says that the ended jobs have cost, beside fmon's own figure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmon.errors import QueueError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.report.report import report
from fmon.study import open_study
from tests.support.reported import Page, mixed_study, objects
from tests.support.studies import NAME, at, job, poll, study

FMON = Path(sys.executable).with_name("fmon")


@pytest.fixture
def mixed(tmp_path):
    return mixed_study(tmp_path / "data")


class TestReconciled:
    """SkyPilot's own costs beside fmon's; of ``mixed`` jobs 1, 2, 4, 14 have ended, 14 has no price."""

    @staticmethod
    def asked(tmp_path, answer, minute=30):
        """Report with a scripted SkyPilot; give the report and what was asked."""
        questions = []

        def ask(jobs, days):
            questions.append((jobs, days))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return report(
            open_study(tmp_path / "data", NAME), tmp_path / "reports", ask=ask, now=at(minute)
        ), questions

    @pytest.mark.slow
    def test_ended_jobs_are_asked_for_by_the_names_of_their_tasks(self, mixed, tmp_path):
        _, questions = self.asked(tmp_path, {1: 0.2})
        assert questions == [({1: ["c1"], 2: ["c2"], 4: ["c4"], 14: ["c14"]}, 2)]

    @pytest.mark.slow
    def test_both_costs_and_their_difference_are_shown(self, mixed, tmp_path):
        reported, _ = self.asked(tmp_path, {1: 0.3, 4: 0.2})
        assert reported.unreconciled is None
        assert objects(reported)[1]["reported"] == {
            "job_count": 5,
            "reported_count": 2,
            "reported_usd": 0.5,
            "compared_count": 2,
            "difference_usd": -0.0666,
            "reported_at": "2026-03-22T05:30:00Z",
        }
        said = (
            "SkyPilot's own cost report of 2026-03-22 05:30:00 UTC: $0.50 for 2 of 5 jobs; "
            "fmon's estimate for the same jobs is $0.43, difference -$0.07."
        )
        assert said in Page(reported.html.read_text()).text

    @pytest.mark.slow
    def test_jobs_without_a_price_are_left_out_of_the_difference(self, mixed, tmp_path):
        text = Page(self.asked(tmp_path, {1: 0.2, 14: 9.0})[0].html.read_text()).text
        assert "$9.20 for 2 of 5 jobs; fmon's estimate differs by +$0.02 for the 1 job with a price" in text

    @pytest.mark.slow
    def test_where_fmon_has_no_price_at_all_it_says_so(self, mixed, tmp_path):
        text = Page(self.asked(tmp_path, {14: 9.0})[0].html.read_text()).text
        assert "$9.00 for 1 of 5 jobs; fmon has no price for these jobs." in text

    @pytest.mark.slow
    def test_what_skypilot_said_once_stays_in_the_manifest(self, mixed, tmp_path):
        self.asked(tmp_path, {1: 0.3, 4: 0.2})
        reported, _ = self.asked(tmp_path, {1: 0.25}, minute=40)
        manifest = read_manifest(mixed)
        assert (manifest.reported_costs, manifest.reported_as_of) == ({"1": 0.25, "4": 0.2}, at(40))
        assert objects(reported)[1]["reported"]["reported_usd"] == 0.45

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (QueueError("the server is down"), "the server is down"),
            ({}, "none of the 4 ended jobs"),
        ],
    )
    def test_without_an_answer_the_report_is_made_all_the_same(self, mixed, tmp_path, answer, said):
        reported, _ = self.asked(tmp_path, answer)
        assert said in reported.unreconciled
        assert "reported" not in objects(reported)[1]
        text = Page(reported.html.read_text()).text
        assert "own cost report of" not in text
        assert said in text
        assert read_manifest(mixed).reported_as_of is None

    @pytest.mark.slow
    def test_an_old_figure_is_shown_with_its_age_where_there_is_no_new_one(self, mixed, tmp_path):
        self.asked(tmp_path, {1: 0.3})
        reported, _ = self.asked(tmp_path, QueueError("down"), minute=90)
        assert "cost report of 2026-03-22 05:30:00 UTC: $0.30" in Page(reported.html.read_text()).text

    @pytest.mark.slow
    def test_nothing_is_asked_about_a_recording(self, mixed, tmp_path):
        manifest = read_manifest(mixed)
        manifest.is_replay = True
        write_manifest(mixed, manifest)
        reported, questions = self.asked(tmp_path, {1: 0.3})
        assert (questions, reported.unreconciled) == ([], None)

    @pytest.mark.slow
    def test_nothing_is_asked_where_the_queue_was_not_skypilots(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(1, "SUCCEEDED")], source="file:queue.json")
        assert self.asked(tmp_path, {1: 0.3})[1] == []

    @pytest.mark.slow
    def test_nothing_is_asked_while_no_job_has_ended(self, tmp_path):
        store = study(tmp_path / "data")
        poll(store, 11, [job(1)])
        reported, questions = self.asked(tmp_path, {})
        assert (questions, reported.unreconciled) == ([], None)


@pytest.mark.slow
def test_a_server_that_is_down_costs_the_report_one_more_sentence_on_stderr(mixed, tmp_path):
    done = subprocess.run(
        [FMON, "report", NAME, "--data", tmp_path / "data", "--out-dir", tmp_path / "reports"],
        env={**os.environ, "HOME": str(tmp_path), "SKYPILOT_API_SERVER_ENDPOINT": "http://127.0.0.1:1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_file() for line in done.stdout.split())
    why, outcome = done.stderr.splitlines()
    assert "can't be reached" in why
    assert outcome.startswith(f"{NAME}: 2 succeeded, 1 failed, ")
