"""Rows as structs: the columns of a query are the fields, by name, with times in UTC."""

from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import msgspec
import pytest

from fmon.warehouse import column, grouped_rows, typed_rows
from fmon.warehouse.views import open_empty


class Job(msgspec.Struct, frozen=True):
    job_id: int
    end_at: datetime | None
    cost_usd: Decimal
    factors: dict[str, str]


QUERY = """
select
    map {'model': 'sam3'} as factors,
    1.5::decimal(18, 4) as cost_usd,
    unnest(['2026-03-22 05:00:00+00'::timestamptz, null]) as end_at,
    $number::bigint as job_id
"""


@pytest.fixture
def con():
    return open_empty()


def test_columns_are_taken_by_name_whatever_their_order(con):
    first, second = typed_rows(con, QUERY, Job, {"number": 7})
    assert first == Job(7, datetime(2026, 3, 22, 5, tzinfo=UTC), Decimal("1.5"), {"model": "sam3"})
    assert second.end_at is None


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as job_id, null as end_at, 1.0 as cost_usd",
        "select 1 as job_id, null as end_at, 1.0 as cost_usd, map {} as factors, 1 as more",
        "select 1 as job_id, 2 as job_id, 1.0 as cost_usd, map {} as factors",
    ],
)
def test_other_columns_than_fields_are_an_error_even_without_a_row(con, query):
    with pytest.raises(TypeError, match=r"Job needs the columns .*'cost_usd'.*, its query has"):
        typed_rows(con, f"from ({query}) where false", Job)


def test_rows_are_grouped_by_a_column_that_is_no_field(con):
    numbered = f"select jobs.* replace (number as job_id), number // 2 as of from ({QUERY}) as jobs"
    query = f"{numbered}, range(4, 7) as numbers(number) where end_at is null"
    grouped = grouped_rows(con, query, Job, by="of", parameters={"number": 0})
    assert {key: [job.job_id for job in jobs] for key, jobs in grouped.items()} == {2: [4, 5], 3: [6]}


def test_a_column_is_its_values(con):
    assert column(con, "select unnest([1, null, 3]) as n where $is_any", {"is_any": True}) == [1, None, 3]
    assert column(con, "select 1 as n where false") == []


def test_a_column_is_one(con):
    with pytest.raises(ValueError, match="too many values"):
        column(con, "select 1 as a, 2 as b")


def test_what_duckdb_refuses_is_not_hidden(con):
    with pytest.raises(duckdb.CatalogException):
        typed_rows(con, "from nothing", Job)
