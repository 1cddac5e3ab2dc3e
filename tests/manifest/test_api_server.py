"""Another API server gives the same ids to other jobs: its answers say nothing about an experiment."""

from datetime import timedelta

import pytest

from fmon.errors import ConfigError, QueueError
from fmon.launch.adopt import adopt
from fmon.manifest.api_server import OtherServerError, is_elsewhere
from fmon.manifest.file import read_manifest
from fmon.monitor.poll import poll, poll_one
from fmon.store.folder import stores
from fmon.store.variable_checks import mark_unchecked
from tests.support.fake_skypilot import FakeSkyPilot
from tests.support.queries import select
from tests.support.queues import RUNNING, START, FakeLogs, FakeQueue, ended, job

OURS, OTHER = "http://sky.example", "http://127.0.0.1:46580 (user 1a2b3c4d)"
REUSED = [{**job, "submitted_at": job["submitted_at"] + 3600} for job in RUNNING]
"""Jobs of another server, with the ids and names of ours."""


@pytest.fixture
def adopted(config, data):
    """An experiment whose four jobs run on one server."""
    adopt(config, FakeQueue(RUNNING, server=OURS), data, now=START)
    return stores(data)[0]


def poll_of(store, jobs, server, server_id=None, **options):
    queue = FakeQueue(jobs, server=server, server_id=server_id)
    return poll(store.path.parent, queue, now=START + timedelta(minutes=5), **options)


def states(store):
    found = select(store.path.parent, "select state, job_id from condition order by job_id")
    return {row["job_id"]: row["state"] for row in found}


RUNS = dict.fromkeys(range(1, 5), "running")


@pytest.mark.parametrize("jobs", [[], REUSED, [job(9, "someone's")]], ids=["empty", "same-ids", "strangers"])
def test_a_poll_that_another_server_answers_has_failed(adopted, jobs):
    (fault,) = poll_of(adopted, jobs, OTHER).faults.values()
    assert isinstance(fault, OtherServerError)
    assert str(fault) == (
        f"the jobs of {adopted.experiment_id} are on SkyPilot's API server http://sky.example, but "
        "http://127.0.0.1:46580 (user 1a2b3c4d) answered and lists none of them; set "
        "SKYPILOT_API_SERVER_ENDPOINT=http://sky.example, or, if http://127.0.0.1:46580 (user 1a2b3c4d) has "
        f"replaced it, run `fmon poll {adopted.experiment_id} --new-server`"
    )
    assert states(adopted) == RUNS
    beats = select(adopted.path.parent, "select is_ok, error_type from poll order by poll_id")
    assert beats == [{"is_ok": True, "error_type": None}, {"is_ok": False, "error_type": "OtherServer"}]
    assert poll_of(adopted, RUNNING, OURS).faults == {}


@pytest.mark.slow
def test_a_server_that_lists_one_of_the_jobs_is_the_same_under_another_address(adopted):
    assert poll_of(adopted, [ended(RUNNING[0]), *REUSED[1:]], OTHER).faults == {}
    assert read_manifest(adopted).api_servers == {OURS: "", OTHER: ""}
    assert states(adopted)[1] == "succeeded"
    assert poll_of(adopted, [], OTHER).faults == {}


def test_a_tag_of_the_experiment_identifies_the_server_before_any_poll_has_seen_the_job(adopted):
    tag = {"fmon": {"experiment": adopted.experiment_id, "condition": "x", "cycle": 0}}
    assert poll_of(adopted, [job(77, "x", metadata=tag)], OTHER).faults == {}


def test_a_person_accepts_a_server_that_replaced_another(adopted):
    with pytest.raises(ConfigError, match="--new-server is about SkyPilot's API server"):
        raise poll_of(adopted, [], None, is_new_server=True).faults[adopted.experiment_id]
    assert poll_of(adopted, [], OTHER, is_new_server=True).faults == {}
    assert states(adopted) == dict.fromkeys(range(1, 5), "lost")
    assert list(poll_of(adopted, RUNNING[:0], OURS).faults) == [adopted.experiment_id]


@pytest.mark.slow
def test_a_file_and_a_store_of_an_older_fmon_have_no_server(adopted, config, tmp_path):
    assert poll_of(adopted, RUNNING, None).faults == {}
    adopt(config, FakeQueue(RUNNING), tmp_path / "older", now=START)
    (older,) = stores(tmp_path / "older")
    assert poll_of(older, [], OTHER).faults == {}
    assert read_manifest(older).api_servers == {}
    assert poll_of(older, RUNNING, OURS).faults == {}
    assert read_manifest(older).api_servers == {OURS: ""}


def test_what_acts_on_jobs_asks_first_and_stops(adopted, config):
    clock = FakeSkyPilot().time
    with pytest.raises(OtherServerError):
        poll_one(adopted, FakeQueue(REUSED, server=OTHER), clock=clock)
    with pytest.raises(OtherServerError):
        adopt(config, FakeQueue(REUSED, server=OTHER), adopted.path.parent, now=START)
    assert read_manifest(adopted).api_servers == {OURS: ""}


@pytest.mark.slow
def test_another_server_is_asked_for_no_log_and_no_variables(adopted, monkeypatch):
    failed = [ended(RUNNING[0], "FAILED"), *RUNNING[1:]]
    assert poll_of(adopted, failed, OURS).faults == {}
    mark_unchecked(adopted)
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://other.example")
    logs, queue = FakeLogs(), FakeQueue(QueueError("away"), server=OTHER)
    queue.polls = [[]]
    poll(adopted.path.parent, queue, now=START + timedelta(minutes=5), logs=logs)
    assert (logs.asked, queue.asked) == ([], [])
    assert is_elsewhere(read_manifest(adopted), "sky")
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", OURS)
    poll_of(adopted, failed, OURS, logs=logs)
    assert {request.job_id for request in logs.asked} == {1}


def test_the_id_of_the_server_counts_where_it_is_known(config, data):
    adopt(config, FakeQueue(RUNNING, server=OURS, server_id="aa"), data, now=START)
    (store,) = stores(data)
    (fault,) = poll_of(store, REUSED, OURS, "bb").faults.values()
    assert str(fault) == (
        f"the jobs of {store.experiment_id} are on SkyPilot's API server http://sky.example (server aa), but "
        "http://sky.example (server bb) answered and lists none of them; if http://sky.example (server bb) "
        f"has replaced it, run `fmon poll {store.experiment_id} --new-server`"
    )
    assert states(store) == RUNS
    assert poll_of(store, RUNNING[:0], OTHER, "aa").faults == {}
    assert read_manifest(store).api_servers == {OURS: "aa", OTHER: "aa"}
    assert poll_of(store, RUNNING, OURS, "bb").faults == {}
    assert read_manifest(store).api_servers == {OTHER: "aa", OURS: "bb"}


def test_the_id_is_added_to_a_server_that_was_known_by_its_address(adopted):
    assert poll_of(adopted, [], OURS, "aa").faults == {}
    assert read_manifest(adopted).api_servers == {OURS: "aa"}
