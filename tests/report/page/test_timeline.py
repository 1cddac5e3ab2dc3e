"""How many attempts ran at a time, and where they failed, as the strip of the timeline draws it."""

import random

import duckdb
import pytest

from fmon.report.page.timeline import DENSITY
from fmon.warehouse import rows
from fmon.warehouse.views import make_views

PARTS = 10


def density(spans):
    """Ask for the strip of spans (submitted, started, ended [s], failed): (running, failed) a part."""
    con = duckdb.connect()
    times = ", ".join(f"{name} timestamptz" for name in ("from_at", "start_at", "to_at"))
    con.execute(f"create table timeline (experiment_id varchar, {times}, is_failed boolean)")
    insert = "insert into timeline values ('e', to_timestamp(?), to_timestamp(?), to_timestamp(?), ?)"
    con.executemany(insert, spans)
    make_views(con, ["timeline_density"])
    found = rows(con, DENSITY, {"experiment": "e", "parts": PARTS})
    return [(row["running_count"], row["failed_count"]) for row in found]


def most_between(spans, begin, end):
    """Count by looking at every moment at which something begins, and at the first one."""
    moments = [begin, *(start for _, start, _, _ in spans if start is not None and begin <= start < end)]
    ran = [(start, to) for _, start, to, _ in spans if start is not None]
    return max(sum(start <= moment < to for start, to in ran) for moment in moments)


def test_one_job_after_the_other_is_one_at_a_time():
    spans = [(0, number, number + 1, False) for number in range(100)]
    assert {running for running, _ in density(spans)} == {1}


def test_what_waits_does_not_run_and_what_never_ran_can_fail():
    assert density([(0, None, 100, True), (0, 50, 100, False)]) == [(0, 0)] * 5 + [(1, 0)] * 4 + [(1, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_each_part_has_its_highest_moment(seed):
    chance = random.Random(seed)
    spans = [(0.0, None, 1000.0, False)]
    for _ in range(40):
        start = chance.randrange(990) + 0.5
        spans.append((0.0, start, chance.uniform(start, 999), chance.random() < 0.3))
    found = density(spans)
    assert [running for running, _ in found] == [
        most_between(spans, begin, begin + 100) for begin in range(0, 1000, 100)
    ]
    assert sum(failed for _, failed in found) == sum(failed for *_, failed in spans)
