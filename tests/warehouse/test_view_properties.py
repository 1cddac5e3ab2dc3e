"""What holds for the views of any experiment, on random small ones."""

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.schema import SOURCES
from fmon.warehouse import rows
from fmon.warehouse.views import COMPUTED, VIEWS, make_views, open_empty
from tests.support.cases import bag, complete, database, load

pytestmark = pytest.mark.slow

STATUSES = ["PENDING", "STARTING", "RUNNING", "RECOVERING", "HIBERNATING", "SUCCEEDED", "FAILED", "CANCELLED"]
LEVELS = {"model": ["dynunet", "sam3"], "loss": ["dice_ce", "dice_ce_cldice"]}
observation = st.fixed_dictionaries(
    {
        "job_id": st.integers(1, 7),
        "poll_id": st.integers(1, 6),
        "status": st.sampled_from(STATUSES),
        "is_seen": st.booleans(),
        "price_usd_per_h": st.sampled_from(["", "0.22", "1.3"]),
        "start_at": st.sampled_from(["", "00:00", "00:02"]),
        "end_at": st.sampled_from(["", "00:03", "01:07:13"]),
    }
)
attempt = st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["attempt", "superseded"]))
experiments = st.tuples(
    st.lists(observation, max_size=14, unique_by=lambda row: (row["job_id"], row["poll_id"])),
    st.lists(attempt, max_size=5),
)


def sources_of(experiment) -> dict:
    """Four conditions, polls of which every third failed to be on time, and what was drawn."""
    seen, attempts = experiment
    cells = [(model, loss) for model in LEVELS["model"] for loss in LEVELS["loss"]]
    number = {name: str(position) for position, name in enumerate(LEVELS)}
    text = [
        {key: str(cell).lower() if isinstance(cell, bool) else str(cell) for key, cell in row.items()}
        for row in seen
    ]
    given = {
        "clock": [{"now": "02:00"}],
        "entry": [
            {"condition_id": f"c{n}", "kind": "grid", "factors": f"model={m}, loss={lo}"}
            for n, (m, lo) in enumerate(cells)
        ],
        "attempt": [
            {"condition_id": f"c{condition}", "cycle": str(cycle), "job_id": str(job_id), "role": role}
            for job_id, (condition, cycle, role) in enumerate(attempts, start=1)
        ],
        "factor_level": [
            {"factor": factor, "level": level, "factor_number": number[factor], "level_number": str(n)}
            for factor, levels in LEVELS.items()
            for n, level in enumerate(levels)
        ],
        "snapshot": [
            {
                **row,
                "task_id": "0",
                "status": row["status"].upper(),
                "job_name": f"job-c{int(row['job_id']) % 4}",
            }
            for row in text
        ],
        "manifest": [],
        "heartbeat": [
            {"poll_id": str(n), "is_ok": "true", "polled_at": f"00:{minute:02}"}
            for n, minute in enumerate([0, 40, 20, 21, 21, 59], start=1)
        ],
    }
    return complete({name: [{"experiment_id": "e", **row} for row in given[name]] for name in given})


@cache
def shared() -> Any:
    """One database for all examples: making the views costs more than looking at them."""
    con = open_empty()
    make_views(con, computed=COMPUTED)
    return con


def views_of(sources, *views: str) -> list[list[dict]]:
    """Load the sources in place of what was there, and give the rows of some views."""
    con = shared()
    for name in SOURCES:
        con.execute(f"truncate {name}")
    load(con, sources)
    make_views(con, [view for view in VIEWS if view in COMPUTED], computed=COMPUTED)
    return [rows(con, f"select * from {view}") for view in views]


@settings(max_examples=12, deadline=None)
@given(experiments, st.randoms(use_true_random=False))
def test_the_order_of_rows_in_the_files_changes_no_view(experiment, random):
    sources = sources_of(experiment)
    views = ("alarm", "coverage", "experiment_summary", "transition")
    before = views_of(sources, *views)
    for name in ("snapshot", "heartbeat", "attempt"):
        random.shuffle(sources[name])
    for one, other in zip(before, views_of(sources, *views), strict=True):
        assert bag(row.values() for row in one) == bag(row.values() for row in other)


@settings(max_examples=15, deadline=None)
@given(experiments)
def test_counts_and_costs_add_up(experiment):
    [outcome], coverage, jobs, cycles = views_of(
        sources_of(experiment), "experiment_summary", "coverage", "job", "cycle_cost"
    )
    states = ["succeeded", "failed", "cancelled", "running", "pending", "lost", "missing"]
    for level in coverage:
        assert level["expected_count"] == sum(level[f"{state}_count"] for state in states) == 2
    assert outcome["condition_count"] == sum(outcome[f"{state}_count"] for state in states) == 4
    assert (
        outcome["open_count"] == outcome["running_count"] + outcome["pending_count"] + outcome["lost_count"]
    )
    of_jobs = sum((job["cost_usd"] or Decimal(0) for job in jobs), Decimal(0))
    assert of_jobs == sum((cycle["cost_usd"] or Decimal(0) for cycle in cycles), Decimal(0))
    assert of_jobs == (outcome["cost_usd"] or Decimal(0))
    unpriced = sum(job["cost_usd"] is None for job in jobs)
    assert outcome["unpriced_count"] == unpriced == sum(cycle["unpriced_count"] for cycle in cycles)


@settings(max_examples=12, deadline=None)
@given(experiments, st.sampled_from(["RUNNING", "PENDING", "HIBERNATING"]))
def test_a_running_job_keeps_the_experiment_open(experiment, status):
    sources = sources_of(experiment)
    job = {"job_id": "99", "job_key": "99"}
    sources["attempt"].append(
        {"experiment_id": "e", "condition_id": "c0", "cycle": "3", **job, "role": "attempt"}
    )
    snapshot = {"poll_id": "6", **job, "task_id": "0", "status": status, "is_seen": "true"}
    sources["snapshot"].append({"experiment_id": "e", "polled_at": "00:59", **snapshot})
    assert views_of(sources, "experiment_summary")[0][0]["open_count"] > 0


@settings(max_examples=25, deadline=None)
@given(experiments)
def test_an_alarm_is_raised_in_its_time(experiment):
    """Not before it began but for clocks that step, and cleared by a poll after the one that raised it."""
    sources = sources_of(experiment)
    for number, beat in enumerate(sources["heartbeat"]):
        beat["polled_at"] = f"00:{number * 10:02}"
    for row in sources["snapshot"]:
        row["polled_at"] = f"00:{(int(row['poll_id']) - 1) * 10:02}"
    for alarm in views_of(sources, "alarm")[0]:
        assert alarm["raised_at"] is not None
        assert alarm["cleared_at"] is None or alarm["raised_at"] <= alarm["cleared_at"]
        assert alarm["kind"] == "failed_setup" or alarm["cleared_at"] != alarm["raised_at"]
        if alarm["threshold"]:
            assert (alarm["raised_at"] - alarm["started_at"]).total_seconds() >= alarm["threshold"]


def test_the_bill_of_the_incidents_is_reproduced():
    """24 x 0.7 h x 1.30 = 21.84; 6 x 0.5 h x 1.30 = 3.90; 2 x 0.5 h x 1.30 = 1.30; together 27.04."""
    groups = [(24, "05:42", 0), (6, "05:30", 1), (2, "05:30", 2)]
    jobs = [(end_at, cycle) for count, end_at, cycle in groups for _ in range(count)]
    given = {
        "clock": [],
        "manifest": [],
        "heartbeat": [],
        "factor_level": [],
        "entry": [{"condition_id": f"c{n}", "kind": "grid"} for n in range(len(jobs))],
        "attempt": [
            {"condition_id": f"c{n}", "cycle": str(cycle), "job_id": str(n), "role": "attempt"}
            for n, (_, cycle) in enumerate(jobs)
        ],
        "snapshot": [
            {
                "poll_id": "1",
                "job_id": str(n),
                "task_id": "0",
                "is_seen": "true",
                "status": "SUCCEEDED",
                "start_at": "05:00",
                "end_at": end_at,
                "price_usd_per_h": "1.30",
            }
            for n, (end_at, _) in enumerate(jobs)
        ],
    }
    sources = complete({name: [{"experiment_id": "e", **row} for row in given[name]] for name in given})
    [outcome], cycles = views_of(sources, "experiment_summary", "cycle_cost")
    assert [cycle["cost_usd"] for cycle in cycles] == [
        Decimal("21.84"),
        Decimal("3.90"),
        Decimal("1.30"),
    ]
    assert outcome["cost_usd"] == Decimal("27.04")


def test_loading_twice_the_same_rows_is_seen():
    """The grain tests can fail: a poll bound twice shows in them."""
    sources = complete(
        {name: [] for name in ("clock", "manifest", "entry", "attempt", "factor_level", "snapshot")}
        | {"heartbeat": [{"experiment_id": "e", "poll_id": "1"}]}
    )
    con = database(sources)
    load(con, sources)
    make_views(con, ["poll"])
    assert len(rows(con, "select experiment_id, poll_id from poll")) == 2
