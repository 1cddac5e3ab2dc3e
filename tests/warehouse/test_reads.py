"""Which views a query reads, and which of them are computed once, as tables."""

import importlib
import re

import duckdb
import pytest

from fmon.warehouse import connect, rows
from fmon.warehouse.load import bind_reported
from fmon.warehouse.views import read_twice, recompute, relations_in
from tests.support.stores import START, manifest


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("select count(*) from Job join condition using (condition_id)", {"job", "condition"}),
        ("from coverage_matrix('e', 'a', 'b')", {"coverage_matrix"}),
        ("from job join attempt using (job_id)", {"job", "attempt"}),
        (
            "with job as (from main.job) select (select count(*) from poll), 'from alarm' from job",
            {"job", "poll"},
        ),
        ("with spells as (from alarm_episode) from spells", {"alarm_episode"}),
        ("create table mine as select * from job", {"job"}),
        ("from job; from poll", {"job", "poll"}),
        ("select 1 -- from job", set()),
        ("select comment from duckdb_columns() where table_name = 'job'", None),
        ("from information_schema.tables", None),
        ("from query('from job')", None),
        ("from 'file.parquet'", None),
        ("show tables", None),
        ("pivot job on state using count(*)", None),
        ("copy (from job) to 'x.csv'", None),
        ("selct", None),
    ],
)
def test_what_a_query_reads_is_known_where_that_is_sure(query, read):
    found = relations_in(duckdb.connect(), [query])
    assert (None if found is None else {*found}) == read


def test_how_often_a_query_reads_a_view_is_counted():
    query = "select (select count(*) from job), job_id from job join poll on true"
    assert relations_in(duckdb.connect(), [query, "from poll"]) == {"job": 2, "poll": 2}


@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        ({"poll": 1}, set()),
        ({"poll": 2}, {"poll"}),
        ({"poll_summary": 1, "poll_error": 1}, {"poll"}),
        ({"newest_poll": 1, "poll_error": 1}, set()),
        # A macro can't be a table: what it reads is run as often as it is asked for.
        ({"cause_matrix": 1}, {"condition_level", "experiment", "status"}),
        ({"cause_matrix": 2}, {"condition_level", "attempt_result", "experiment", "status"}),
    ],
)
def test_what_would_run_twice_is_computed_once(asked, tables):
    assert read_twice(asked) == tables


def test_a_view_that_is_asked_for_twice_is_a_table_with_the_same_rows(store, tmp_path):
    query = "select poll_id, gap_s from poll order by poll_id"
    once, twice = (connect(tmp_path, queries=[query] * count) for count in (1, 2))
    tables = "select table_name from duckdb_tables() where table_name = 'poll'"
    assert [len(rows(con, tables)) for con in (once, twice)] == [0, 1]
    assert rows(once, query) == rows(twice, query)


def test_tables_follow_a_source_that_is_filled_again(store, tmp_path):
    query = "select sum(reported_count) as n from cycle_cost"
    con = connect(tmp_path, queries=[query, query])
    changed = manifest()
    changed.reported_costs = {"1": 2.5}
    changed.reported_as_of = START
    bind_reported(con, [changed])
    assert rows(con, query) == [{"n": 0}]
    recompute(con, ["reported_cost"])
    assert rows(con, query) == [{"n": 1}]


def test_a_query_may_read_the_table_that_one_before_it_makes():
    queries = [
        "create or replace temp table span as select * from job",
        "from span join poll using (poll_id)",
    ]
    assert {*relations_in(duckdb.connect(), queries)} == {"job", "poll"}


ASKING = [
    "diagnose.diagnose",
    "diagnose.gate",
    "diagnose.root_causes",
    "fix.plan",
    "monitor.status",
    "relaunch.escalation",
    "relaunch.plan",
    "relaunch.relaunch",
    "relaunch.untracked",
    "report.compare_queries",
    "report.issues",
    "report.report",
]


@pytest.mark.parametrize("module", ASKING)
def test_a_module_connects_for_all_that_it_asks(module):
    named = vars(importlib.import_module(f"fmon.{module}"))
    selects = {
        text for text in named.values() if isinstance(text, str) and re.match(r"\s*(select|with)\s", text)
    }
    assert all(any(text in query for query in named["QUERIES"]) for text in selects)
    assert relations_in(duckdb.connect(), named["QUERIES"])
