"""What a job cost and when it ran, from the queue's own words to the views."""

import json
from datetime import timedelta

import pytest

from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll
from fmon.monitor.replay import replay
from fmon.store.folder import stores
from tests.support.queries import select
from tests.support.queues import RUNNING, START, FakeQueue, ended
from tests.support.world import write_config

pytestmark = pytest.mark.slow

CONFIG = """\
experiment_name: small
skypilot_yaml: train.yaml
factors: {model: [a]}
prices: {L4: {spot: 0.20, on_demand: 1.00}, A100: {spot: 1.10, on_demand: 4.00}, controller: 0.05}
job_name: "{model}"
"""
T0 = START.timestamp()
SPOT_L4 = "1x[spot](gpus=L4:1, g2-standard-4, ...)"


def record(status, hours_seen=None, **fields):
    """A queue record; times are hours after the start."""
    for name in ("submitted_at", "start_at", "last_recovered_at", "end_at"):
        if name in fields:
            fields[name] = T0 + fields[name] * 3600
    return {"job_id": 1, "task_id": 0, "job_name": "a", "status": status, "submitted_at": T0, **fields}


def told(tmp_path, query, *polls):
    """Replay polls, each (hours after the start, record), and ask the views."""
    folder = tmp_path / "recording"
    write_config(folder, CONFIG)
    lines = [
        {"polled_at": (START + timedelta(hours=hours)).isoformat(), "jobs": [seen]} for hours, seen in polls
    ]
    (folder / "queue.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    replay(folder, tmp_path / "data")
    return select(tmp_path / "data", query)


COST = "select cast(cost_usd as double) as usd, unpriced_count from experiment_summary"


def test_ten_hours_of_waiting_for_capacity_cost_nothing(tmp_path):
    """10 h in STARTING, 1 h of RUNNING at 0.20: $0.20, not $2.20."""
    waiting = record(
        "STARTING", resources="1x[L4:1][Spot]", schedule_state="ALIVE_BACKOFF", cluster_resources="-"
    )
    got = {"resources": "1x[L4:1][Spot]", "cluster_resources": SPOT_L4}
    gone = {"resources": "1x[L4:1][Spot]", "cluster_resources": "1x[L4:1][Spot]"}
    found = told(
        tmp_path, COST,
        (0.1, waiting), (5, waiting), (9.9, waiting),
        (10.1, record("RUNNING", start_at=10, **got)),
        (11.2, record("SUCCEEDED", start_at=10, end_at=11, **gone)),
    )  # fmt: skip
    assert found == [{"usd": 0.2, "unpriced_count": 0}]


def test_a_spot_machine_is_not_billed_at_the_price_of_the_first_request(tmp_path):
    """Ten hours on spot at 0.20 after a request for on-demand at 1.00: $2.00, not $10.00."""
    got = {"resources": "1x[L4:1][On-demand|Spot]", "cluster_resources": SPOT_L4}
    found = told(
        tmp_path, COST,
        (0, record("STARTING", resources="1x[L4:1][On-demand|Spot]", cluster_resources="-")),
        (0.1, record("RUNNING", start_at=0, **got)),
        (10.2, record("SUCCEEDED", start_at=0, end_at=10, resources="1x[L4:1][On-demand|Spot]")),
    )  # fmt: skip
    assert found == [{"usd": 2.0, "unpriced_count": 0}]


def test_a_recovery_on_another_accelerator_has_its_own_price(tmp_path):
    """One hour of A100 on spot at 1.10, then two of L4 on spot at 0.20: 1.50."""
    asked = {"resources": "1x[A100:1, L4:1][Spot]"}
    found = told(
        tmp_path, COST,
        (0.5, record("RUNNING", start_at=0, cluster_resources="1x[spot](gpus=A100:1)", **asked)),
        (1, record("RECOVERING", start_at=0, schedule_state="ALIVE_BACKOFF", cluster_resources="-", **asked)),
        (3, record("RUNNING", start_at=0, last_recovered_at=2, cluster_resources=SPOT_L4, **asked)),
        (4.1, record("SUCCEEDED", start_at=0, last_recovered_at=2, end_at=4, cluster_resources="-", **asked)),
    )  # fmt: skip
    assert found == [{"usd": 1.5, "unpriced_count": 0}]


def test_a_recovery_on_a_machine_without_a_price_is_counted(tmp_path):
    asked = {"resources": "1x[L4:1]"}
    found = told(
        tmp_path, COST,
        (0.5, record("RUNNING", start_at=0, cluster_resources="1x(gpus=L4:1)", **asked)),
        (1, record("RUNNING", start_at=0, last_recovered_at=1, cluster_resources="1x(gpus=T4:1)", **asked)),
        (2, record("SUCCEEDED", start_at=0, last_recovered_at=1, end_at=2, cluster_resources="-", **asked)),
    )  # fmt: skip
    assert found == [{"usd": None, "unpriced_count": 1}]


def test_impossible_values_are_named_and_make_the_cost_unknown(tmp_path):
    query = "select field, reason from impossible_time order by field"
    wrong = record("SUCCEEDED", start_at=2, end_at=1, job_duration=-3600, resources="1x[L4:1]")
    assert told(tmp_path, query, (3, wrong)) == [
        {"field": "end_at", "reason": "before an earlier step"},
        {"field": "job_duration", "reason": "negative, or not a time"},
    ]
    assert select(tmp_path / "data", COST) == [{"usd": None, "unpriced_count": 1}]
    assert select(tmp_path / "data", "select run_s from condition") == [{"run_s": None}]


def test_the_controller_costs_its_price_while_there_are_jobs(tmp_path):
    query = "select purpose, cast(cost_usd as double) as usd from cost_breakdown order by purpose"
    done = record("SUCCEEDED", start_at=0, end_at=10, resources="1x[L4:1]")
    assert told(tmp_path, query, (11, done)) == [
        {"purpose": "controller", "usd": 0.5},
        {"purpose": "useful", "usd": 10.0},
    ]


def test_an_experiment_stays_open_until_the_machines_of_its_jobs_are_gone(config, data):
    up = {"resources": "1x[L4:1]", "cluster_resources": "1x(gpus=L4:1, g2, ...)"}
    gone = {"resources": "1x[L4:1]", "cluster_resources": "1x[L4:1]"}
    done = [{**ended(seen), "end_at": T0} for seen in RUNNING]
    going, left = ([{**seen, **machine} for seen in done] for machine in (up, gone))
    queue = FakeQueue(RUNNING, going, left)
    adopt(config, queue, data, now=START)
    closed = []
    for _ in range(2):
        poll(data, queue, now=START)
        closed.append(stores(data)[0].is_closed)
    assert closed == [False, True]


def test_the_wait_for_a_machine_to_go_is_limited(config, data):
    up = {"resources": "1x[L4:1]", "cluster_resources": "1x(gpus=L4:1, g2, ...)"}
    queue = FakeQueue(RUNNING, [{**ended(seen), **up, "end_at": T0} for seen in RUNNING], minutes=20)
    adopt(config, queue, data, now=START)
    poll(data, queue, now=START + timedelta(minutes=20))
    assert stores(data)[0].is_closed
