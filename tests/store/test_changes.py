"""Which rows a poll writes."""

import pytest

from fmon.model import Record
from fmon.schema import HEARTBEAT, SNAPSHOT
from fmon.store.changes import CARRIED, ROW, WATCHED
from tests.support.stores import beats, failed_poll, micros, poll, record, rows


def seen(store):
    return [(row["poll_id"], row["job_id"], row["status"], row["is_seen"]) for row in rows(store)]


def test_the_first_poll_writes_every_job(store):
    assert poll(store, 0, record(2, "PENDING"), record(1)) == (1, 2)
    assert seen(store) == [(1, 1, "RUNNING", True), (1, 2, "PENDING", True)]


def test_a_quiet_poll_writes_only_its_heartbeat(store):
    poll(store, 0, record(1))
    assert poll(store, 1, record(1)) == (2, 0)
    assert len(rows(store)) == 1
    assert [beat["changed_count"] for beat in beats(store)] == [1, 0]


def test_only_the_job_that_changed_gets_a_row(store):
    poll(store, 0, record(1), record(2))
    poll(store, 1, record(1), record(2, "SUCCEEDED"))
    assert seen(store)[2:] == [(2, 2, "SUCCEEDED", True)]


CHANGES = {"status": "FAILED", "submitted_at": 1, "start_at": 1, "end_at": 1, "last_recovered_at": 1,
           "recovery_count": 2, "has_machine": True}  # fmt: skip


@pytest.mark.parametrize("field", [name for name in WATCHED if name not in ("job_key", "task_id", "job_id")])
def test_every_watched_field_makes_a_row(store, field):
    poll(store, 0, record(1))
    assert poll(store, 1, record(1, **{field: CHANGES.get(field, "other")})).changed_count == 1
    assert rows(store)[-1][field] == CHANGES.get(field, "other")


def test_what_is_watched_and_carried_is_every_job_column():
    job_columns = {column.name for column in SNAPSHOT} - {column.name for column in HEARTBEAT}
    assert set(ROW) == job_columns
    assert set(CARRIED) <= set(Record.__struct_fields__)


def test_a_record_has_the_watched_fields_first():
    assert Record.__struct_fields__[: len(WATCHED)] == WATCHED


@pytest.mark.parametrize(
    "carried", [{"job_duration_s": 9.0}, {"price_usd_per_h": 9.0}, {"price_source": "catalog"}]
)
def test_a_carried_field_alone_makes_no_row(store, carried):
    poll(store, 0, record(1))
    assert poll(store, 1, record(1, **carried)).changed_count == 0


def test_the_order_of_the_queue_is_no_change(store):
    poll(store, 0, record(1), record(2))
    assert poll(store, 1, record(2), record(1)).changed_count == 0


def test_of_two_records_of_one_task_the_last_counts_and_stays_quiet(store):
    poll(store, 0, record(1, "RUNNING"), record(1, "FAILED"))
    assert poll(store, 1, record(1, "RUNNING"), record(1, "FAILED")).changed_count == 0
    assert seen(store) == [(1, 1, "FAILED", True)]


def test_each_task_of_a_pipeline_is_a_row_of_its_own(store):
    poll(store, 0, record(1, task_id=0), record(1, "PENDING", task_id=1))
    assert poll(store, 1, record(1, task_id=0), record(1, task_id=1)).changed_count == 1


def test_absence_writes_a_row_with_the_last_known_values_once(store):
    poll(store, 0, record(1, details="recovering", price_usd_per_h=0.5))
    poll(store, 1)
    poll(store, 2)
    assert seen(store) == [(1, 1, "RUNNING", True), (2, 1, "RUNNING", False)]
    assert rows(store)[-1]["details"] == "recovering"
    assert rows(store)[-1]["price_usd_per_h"] == 0.5
    assert rows(store)[-1]["polled_at"] == micros(1)


def test_the_return_of_an_absent_job_writes_a_row_though_nothing_else_changed(store):
    poll(store, 0, record(1), record(2))
    poll(store, 1, record(2))
    poll(store, 2, record(1), record(2))
    assert seen(store)[2:] == [(2, 1, "RUNNING", False), (3, 1, "RUNNING", True)]


def test_a_failed_look_marks_nothing_absent(store):
    poll(store, 0, record(1))
    assert failed_poll(store, 1) == (2, 0)
    assert poll(store, 2, record(1)).changed_count == 0
    assert [(beat["is_ok"], beat["seen_count"], beat["error"]) for beat in beats(store)] == [
        (True, 1, None),
        (False, None, "no answer"),
        (True, 1, None),
    ]


def test_an_empty_answer_marks_all_absent_and_ends_no_job(store):
    poll(store, 0, record(1), record(2))
    poll(store, 1)
    assert [row["status"] for row in rows(store)[2:]] == ["RUNNING", "RUNNING"]


def test_the_price_of_a_request_stays_the_first_known_one(store):
    poll(store, 0, record(1, "PENDING"))
    poll(store, 1, record(1, "STARTING", price_usd_per_h=0.2, price_source="catalog"))
    poll(store, 2, record(1, "RUNNING", price_usd_per_h=0.9, price_source="config"))
    assert [(row["price_usd_per_h"], row["price_source"]) for row in rows(store)] == [
        (None, None),
        (0.2, "catalog"),
        (0.2, "catalog"),
    ]


def test_the_price_follows_the_machine_and_outlives_it(store):
    request = {"resources": "1x[A100:1, L4:1]"}
    poll(store, 0, record(1, "STARTING", **request))
    poll(store, 1, record(1, "RUNNING", machine="1x(gpus=A100:1)", price_usd_per_h=1.0, **request))
    poll(store, 2, record(1, "RECOVERING", price_usd_per_h=9.0, **request))
    poll(store, 3, record(1, "RUNNING", machine="1x[spot](gpus=L4:1)", price_usd_per_h=0.2, **request))
    poll(store, 4, record(1, "SUCCEEDED", price_usd_per_h=9.0, **request))
    assert [row["price_usd_per_h"] for row in rows(store)] == [None, 1.0, 1.0, 0.2, 0.2]


def test_a_machine_without_a_price_does_not_get_that_of_the_request(store):
    poll(store, 0, record(1, "STARTING", price_usd_per_h=0.2))
    poll(store, 1, record(1, "RUNNING", machine="1x(gpus=H200:1)"))
    poll(store, 2, record(1, "FAILED", price_usd_per_h=0.2))
    assert [row["price_usd_per_h"] for row in rows(store)] == [0.2, None, None]


def test_another_request_has_another_price(store):
    poll(store, 0, record(1, "RUNNING", resources="1x[A100:1]", price_usd_per_h=1.0))
    poll(store, 1, record(1, "RUNNING", resources="1x[L4:1]", price_usd_per_h=0.2))
    assert [row["price_usd_per_h"] for row in rows(store)] == [1.0, 0.2]


@pytest.mark.parametrize(
    ("fields", "stored"),
    [({"start_at": 5}, None), ({}, 7.0), ({"start_at": 5, "end_at": 9}, 7.0), ({"end_at": 9}, 7.0)],
)
def test_the_duration_is_stored_where_the_times_do_not_say_it(store, fields, stored):
    poll(store, 0, record(1, job_duration_s=7.0, **fields))
    assert rows(store)[0]["job_duration_s"] == stored


def test_text_of_any_kind_comes_back_as_it_was(store):
    hostile = "a\0b\x1b[31m\u202e'; drop table job; --\n" + "\N{PILE OF POO}" * 1000
    poll(store, 0, record(1, failure_reason=hostile, job_name=""))
    assert rows(store)[0]["failure_reason"] == hostile
    assert rows(store)[0]["job_name"] == ""
    assert poll(store, 1, record(1, failure_reason=hostile, job_name="")).changed_count == 0
