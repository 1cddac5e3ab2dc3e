"""Where every condition stands, when it may end, and the exit code that says so."""

from dataclasses import replace
from decimal import Decimal

import pytest

from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import Entry
from fmon.monitor.status import QUERIES, Status, exit_status, status
from fmon.terminal.status import status_lines
from fmon.warehouse import connect
from tests.support.studies import FACTORS, NAME, at, job, poll, study


def seen(data, minute: float = 20) -> Status:
    return status(connect(data, NAME, queries=QUERIES, now=at(minute)))


def test_the_progress_line_has_the_form_that_scripts_read(tmp_path):
    store = study(tmp_path, {"cell": list(range(24))})
    records = [job(number, "SUCCEEDED") for number in range(1, 9)] + [job(9, "FAILED")]
    running = [job(number) for number in range(10, 23)]
    running += [job(number, price_usd_per_h=None) for number in (23, 24)]
    poll(store, 11, records + running)
    assert seen(tmp_path, 11).progress == "8/24 succeeded, 1 failed, 15 running, est. $5.05 (2 unpriced)"


def test_every_other_state_that_occurs_joins_the_progress_line(tmp_path):
    store = study(tmp_path, {"cell": list(range(7))})
    manifest = read_manifest(store)
    manifest.jobs[6].job_id = None
    write_manifest(store, manifest)
    poll(store, 1, [job(number) for number in range(1, 6)])
    ended = [job(1, "SUCCEEDED"), job(2, "CANCELLED"), job(3, "PENDING"), job(4)]
    poll(store, 11, ended)
    assert seen(tmp_path).progress.startswith(
        "1/7 succeeded, 0 failed, 1 running, 2 pending, 1 lost, 1 missing, 1 cancelled, est. $"
    )


def test_a_cost_of_which_nothing_is_known_is_unknown_and_not_zero(tmp_path):
    store = study(tmp_path, {"cell": [0, 1]})
    poll(store, 1, [job(1, price_usd_per_h=None), job(2, price_usd_per_h=None)])
    assert seen(tmp_path).progress == "0/2 succeeded, 0 failed, 2 running, est. unknown (2 unpriced)"


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["SUCCEEDED", "SUCCEEDED"], 0),
        (["SUCCEEDED", "RUNNING"], 3),
        (["SUCCEEDED", "PENDING"], 3),
        (["FAILED", "SOME_NEW_STATUS"], 3),
        (["SUCCEEDED", "FAILED"], 4),
        (["SUCCEEDED", "CANCELLED"], 4),
        (["FAILED_SETUP", "FAILED_PRECHECKS"], 4),
    ],
)
def test_the_exit_code_tells_how_it_ended(tmp_path, statuses, code):
    store = study(tmp_path, {"cell": [0, 1]})
    poll(store, 11, [job(number, name) for number, name in enumerate(statuses, start=1)])
    assert exit_status(seen(tmp_path)) == code


def test_a_lost_job_counts_as_open(tmp_path):
    store = study(tmp_path, {"cell": [0, 1]})
    poll(store, 1, [job(1), job(2)])
    poll(store, 11, [job(1, "SUCCEEDED")])
    found = seen(tmp_path)
    assert (found.counts["lost"], found.open_count, exit_status(found)) == (1, 1, 3)


def test_missing_conditions_without_open_jobs_are_not_success(tmp_path):
    store = study(tmp_path, {"cell": [0, 1]})
    manifest = read_manifest(store)
    manifest.jobs[1].job_id = None
    write_manifest(store, manifest)
    poll(store, 11, [job(1, "SUCCEEDED")])
    assert exit_status(seen(tmp_path)) == 4


def test_the_newest_poll_is_told_with_its_age_and_its_error(tmp_path):
    store = study(tmp_path)
    poll(store, 1, [job(1)])
    poll(store, 12, None, error="ClusterNotUpError: the controller is gone")
    found = seen(tmp_path, 20)
    assert (found.poll_id, found.poll_age_s, found.ok_age_s) == (2, 480, 1140)
    assert found.poll_error == "ClusterNotUpError: the controller is gone"


@pytest.mark.parametrize(
    ("source", "minute", "status", "is_said"),
    [
        ("file:q.json", 20, "RUNNING", True),
        ("file:q.json", 10, "RUNNING", False),
        ("file:q.json", 20, "SUCCEEDED", False),
        ("sky", 20, "RUNNING", False),
    ],
)
def test_the_age_of_a_queue_from_a_file_is_told_while_jobs_are_open(
    tmp_path, source, minute, status, is_said
):
    store = study(tmp_path, {"cell": [0]})
    poll(store, 1, [job(1, status)], source=source)
    lines = status_lines(seen(tmp_path, minute), width=None, max_rows=9, max_alarms=9)
    text = "\n".join("".join(part.text for part in line) for line in lines)
    assert ("the queue file is 19 min 00 s old: its writer may have stopped" in text) == is_said
    assert f"{minute - 1} min 00 s ago" in text


def test_an_experiment_that_was_never_polled_has_a_status(tmp_path):
    study(tmp_path)
    found = seen(tmp_path)
    assert (found.poll_id, found.polled_at, found.poll_error, found.alarms) == (None, None, None, [])
    assert found.counts["pending"] == 6


def test_open_alarms_come_critical_ones_first_and_cleared_ones_not_at_all(tmp_path):
    store = study(tmp_path, {"cell": [0, 1, 2]})
    poll(store, 0, [job(1, "PENDING"), job(2, "PENDING"), job(3)])
    poll(store, 40, [job(1, "PENDING"), job(2, "PENDING"), job(3)])
    poll(store, 41, [job(1, "PENDING"), job(2), job(3, "FAILED_SETUP")])
    found = seen(tmp_path, 41)
    assert [(alarm.kind, alarm.job_id) for alarm in found.alarms] == [
        ("failed_setup", 3),
        ("pending_too_long", 1),
    ]


def test_rows_come_in_the_order_of_the_manifest_with_exact_money(tmp_path):
    store = study(tmp_path)
    poll(store, 31, [job(number, "SUCCEEDED", minutes=30) for number in (2, 1, 3)])
    found = seen(tmp_path)
    assert [row.condition_id for row in found.rows] == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert found.rows[0].cost_usd == Decimal("0.65")
    assert found.rows[0].factors == {"model": "dynunet", "fold": "0"}


class TestEta:
    def test_takes_the_factor_that_explains_the_run_times(self, tmp_path):
        """dynunet takes 10 minutes and sam3 40, whatever the fold; one sam3 has run for 25."""
        store = study(tmp_path)
        ended = [job(number, "SUCCEEDED", minutes=10 + number / 10) for number in (1, 2, 3)]
        ended += [job(number, "SUCCEEDED", minutes=40) for number in (4, 5)]
        poll(store, 25, [*ended, job(6)])
        eta = seen(tmp_path, 25).eta
        assert eta.at == at(40)
        assert "the same model" in eta.rule

    def test_counts_on_as_many_jobs_at_a_time_as_run_now(self, tmp_path):
        """Three wait behind the one that runs: 10 minutes each."""
        store = study(tmp_path, {"cell": list(range(6))})
        ended = [job(number, "SUCCEEDED") for number in (1, 2)]
        poll(store, 10, [*ended, job(3), *(job(number, "PENDING") for number in (4, 5, 6))])
        eta = seen(tmp_path, 10).eta
        assert eta.at == at(40)
        assert "all succeeded" in eta.rule
        assert "1 at a time" in eta.rule

    def test_falls_back_on_the_config_where_the_level_has_no_success_yet(self, tmp_path):
        store = study(tmp_path)
        manifest = read_manifest(store)
        manifest.jobs = [
            Entry(**{**{f: getattr(e, f) for f in e.__struct_fields__}, "expected_minutes": 60})
            for e in manifest.jobs
        ]
        write_manifest(store, manifest)
        poll(store, 0, [job(number) for number in range(1, 7)])
        eta = seen(tmp_path, 20).eta
        assert eta.at == at(60)
        assert "expected" in eta.rule

    def test_says_what_it_does_not_know(self, tmp_path):
        store = study(tmp_path)
        poll(store, 0, [job(number) for number in range(1, 7)])
        eta = seen(tmp_path).eta
        assert (eta.at, eta.rest_s) == (None, None)
        assert "no comparable condition has succeeded" in eta.rule

    def test_is_unknown_while_nothing_runs(self, tmp_path):
        store = study(tmp_path, {"cell": [0, 1, 2]})
        poll(store, 10, [job(1, "SUCCEEDED"), job(2, "PENDING"), job(3, "PENDING")])
        assert seen(tmp_path).eta.at is None

    def test_is_none_when_all_have_ended(self, tmp_path):
        store = study(tmp_path, FACTORS)
        poll(store, 11, [job(number, "SUCCEEDED") for number in range(1, 7)])
        assert seen(tmp_path).eta is None

    def test_a_job_beyond_its_time_is_overdue_and_not_due_now(self, tmp_path):
        store = study(tmp_path, {"cell": [0, 1, 2]})
        poll(store, 10, [job(1, "SUCCEEDED"), job(2, "SUCCEEDED"), job(3)])
        eta = seen(tmp_path, 90).eta
        assert (eta.at, eta.rest_s, eta.overdue_s) == (None, None, 80 * 60)

    def test_jobs_beyond_their_time_are_counted_beside_the_rest(self, tmp_path):
        store = study(tmp_path, {"cell": [0, 1, 2, 3]})
        poll(store, 10, [job(1, "SUCCEEDED"), job(2), job(3), job(4, "PENDING")])
        eta = seen(tmp_path, 90).eta
        assert (eta.at, eta.overdue_s) == (at(100), None)
        assert "2 overdue by up to 1 h 20 min are not included" in eta.rule


@pytest.mark.slow
def test_progress_is_readable_with_thousands(tmp_path):
    store = study(tmp_path, {"cell": [0]})
    poll(store, 11, [job(1, "SUCCEEDED")])
    counts = {**seen(tmp_path).counts, "succeeded": 4312, "failed": 12}
    many = replace(seen(tmp_path), condition_count=5000, counts=counts, cost_usd=Decimal("1234.5"))
    assert many.progress == "4,312/5,000 succeeded, 12 failed, 0 running, est. $1,234.50"
