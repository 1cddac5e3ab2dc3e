"""Phase 2: polls that go well, go wrong, and meet each other."""

from datetime import timedelta

from fmon.clock import Clock
from fmon.errors import ManifestError, QueueError
from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll, watch
from fmon.store.durable import lock
from fmon.store.folder import poll_lock, stores
from tests.support.queries import select
from tests.support.queues import RUNNING, START, FakeQueue, ended, job
from tests.support.world import CONFIG, write_config

DOWN = QueueError("no server", error_type="ApiServerConnectionError")


def adopt_and_poll(config, data, *polls):
    """Adopt on the first poll, then run the others; give what each of those did."""
    queue = FakeQueue(*polls)
    adopt(config, queue, data, now=START)
    return queue, [poll(data, queue, now=START + queue.step * queue.read_count) for _ in polls[1:]]


def states(data):
    found = select(data, "select condition_id, state from condition order by condition_id")
    return {row["condition_id"]: row["state"] for row in found}


def test_a_poll_stores_what_changed_and_a_heartbeat(config, data):
    _, polled = adopt_and_poll(config, data, RUNNING, RUNNING, [*RUNNING[:3], ended(RUNNING[3], "FAILED")])
    assert [seen.changed_count for done in polled for seen in done.observed] == [0, 1]
    assert states(data)["sam3-dice_ce_cldice"] == "failed"
    found = select(data, "select is_ok, job_count, changed_count, gap_s from poll order by poll_id")
    assert [row["changed_count"] for row in found] == [4, 0, 1]
    assert [row["gap_s"] for row in found] == [None, 60, 60]


def test_a_failed_poll_leaves_a_heartbeat_and_the_next_one_carries_on(config, data):
    _, polled = adopt_and_poll(config, data, RUNNING, DOWN, RUNNING)
    assert polled[0].error is DOWN
    assert polled[1].error is None
    found = select(data, "select is_ok, error_type from poll order by poll_id")
    assert [row["is_ok"] for row in found] == [True, False, True]
    assert found[1]["error_type"] == "ApiServerConnectionError"
    assert set(states(data).values()) == {"running"}


def test_an_empty_queue_loses_the_jobs_and_ends_none(config, data):
    _, polled = adopt_and_poll(config, data, RUNNING, [])
    assert set(states(data).values()) == {"lost"}
    assert polled[0].observed[0].changed_count == 4
    assert not stores(data)[0].is_closed


def test_a_poll_closes_an_experiment_that_has_ended_and_then_asks_nothing(config, data):
    queue, _ = adopt_and_poll(config, data, RUNNING, [ended(record) for record in RUNNING])
    assert stores(data)[0].is_closed
    asked = queue.read_count
    assert poll(data, queue, now=START).observed == []
    assert queue.read_count == asked


def test_an_experiment_with_missing_conditions_stays_open_for_a_day(config, data):
    done = [ended(record) for record in RUNNING[:3]]
    queue = FakeQueue(RUNNING[:3], done, done, done, minutes=12 * 60)
    adopt(config, queue, data, now=START)
    open_after = []
    for _ in range(3):
        poll(data, queue, now=START)
        open_after.append(not stores(data)[0].is_closed)
    assert open_after == [True, True, False]


def test_a_job_that_appears_later_is_attached(config, data):
    adopt_and_poll(config, data, RUNNING[:3], RUNNING)
    found = select(data, "select job_id from condition where condition_id = 'sam3-dice_ce_cldice'")
    assert found == [{"job_id": 4}]


def test_a_poll_that_finds_another_one_under_way_skips_and_asks_nothing(config, data):
    queue, _ = adopt_and_poll(config, data, RUNNING)
    asked = queue.read_count
    with lock(poll_lock(data), wait_s=0):
        polled = poll(data, queue, now=START)
    assert polled.is_skipped
    assert queue.read_count == asked


def test_one_broken_manifest_does_not_keep_the_others_from_being_polled(config, data, tmp_path):
    queue, _ = adopt_and_poll(config, data, RUNNING)
    other = write_config(tmp_path / "other", CONFIG.replace("small", "other").replace("dynunet", "unet"))
    adopt(other, FakeQueue([job(9, "unet-dice_ce")]), data, now=START + timedelta(hours=1))
    broken = next(store for store in stores(data) if store.experiment_id.startswith("other"))
    broken.manifest.write_text("{")
    polled = poll(data, queue, now=START)
    assert [seen.experiment_id[:5] for seen in polled.observed] == ["small"]
    assert isinstance(polled.faults[broken.experiment_id], ManifestError)


def test_a_record_that_does_not_fit_is_named_after_the_rest_is_stored(config, data):
    _, polled = adopt_and_poll(config, data, RUNNING, [*RUNNING, {"job_name": "no id"}])
    assert len(polled[0].observed[0].bad) == 1
    assert set(states(data).values()) == {"running"}


def test_watch_waits_the_rest_of_the_interval_and_never_less_than_nothing(config, data):
    queue, _ = adopt_and_poll(config, data, RUNNING)
    ticks = iter(START + timedelta(seconds=s) for s in (0, 10, 60, 150, 150))
    slept = []
    polls = watch(
        data, queue, "small", interval_s=60, clock=Clock(now=lambda: next(ticks), sleep=slept.append)
    )
    for _ in range(3):
        assert next(polls).error is None
    assert slept == [50, 0]
