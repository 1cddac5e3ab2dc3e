"""``fmon poll`` and ``fmon watch`` as whole processes against a server that misbehaves."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fmon import warehouse
from tests.support.fake_server import failed
from tests.support.queues import NAMES, START, job
from tests.support.world import write_config

pytestmark = pytest.mark.slow

LOGIN = {"kind": "text/html", "x-skypilot-request-id": ""}
MISMATCH = {"error": "version_mismatch", "message": "upgrade"}
FAULTS = {
    "a 500": ("on_get", lambda it: it.send(500, failed("RuntimeError", "database is locked"))),
    "no controller": ("on_get", lambda it: it.send(500, failed("ClusterNotUpError", "No managed jobs."))),
    "half a body": ("on_get", lambda it: (it.head(200, 5000), it.wfile.write(b'{"return'), it.cut())),
    "garbage": ("on_get", lambda it: it.send(200, b"\x80\x04garbage")),
    "a login page": ("on_queue", lambda it: it.send(200, "<html>login</html>", **LOGIN)),
    "another version": ("on_queue", lambda it: it.send(400, MISMATCH)),
}


def fmon(*args):
    command = [sys.executable, "-m", "fmon", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def rows(query):
    return warehouse.rows(warehouse.connect(), query)


@pytest.fixture
def followed(server, home):
    """An experiment of four running jobs, adopted from the fake server."""
    server.jobs = [
        job(number, name, start_at=START.timestamp()) for number, name in enumerate(NAMES, start=1)
    ]
    done = fmon("adopt", str(write_config(home)))
    assert done.returncode == 0, done.stderr
    return server


def test_a_poll_that_sees_a_failure_fetches_its_log_and_names_its_cause(followed):
    followed.jobs[3] |= {"status": "FAILED", "end_at": START.timestamp() + 60}
    followed.on_logs = lambda it: it.stream(b"(sam3, pid=7) ModuleNotFoundError: No module named 'monai'\n")
    done = fmon("poll")
    assert done.returncode == 0, done.stderr
    assert "1 failure examined: 1 import_error" in done.stderr
    assert rows("select job_id, log_state from finding") == [{"job_id": 4, "log_state": "stored"}]
    assert fmon("logs", "4").stdout == "ModuleNotFoundError: No module named 'monai'\n"
    followed.requests.clear()
    assert fmon("poll").returncode == 0
    assert followed.asked == ["POST /jobs/queue/v2", "GET /api/get"]


def test_a_poll_names_the_variables_of_a_new_job_and_asks_for_them_once(followed):
    followed.jobs[3] |= {"user_yaml": "envs: {MODEL: sam3, LOSS: x}", "entrypoint": "sky jobs launch t.yaml"}
    done = fmon("poll")
    assert done.returncode == 0, done.stderr
    assert "variables differ from those of the condition: job 4 (LOSS)" in done.stderr
    followed.requests.clear()
    assert fmon("poll").returncode == 0
    assert followed.asked == ["POST /jobs/queue/v2", "GET /api/get"]


def test_a_poll_that_gets_no_yamls_is_stored_and_the_next_one_asks_again(followed):
    def first_only(it):
        it.send(*((200, "null") if followed.asked.count("POST /jobs/queue/v2") == 1 else (500, "oops")))

    right, followed.on_queue = followed.on_queue, first_only
    followed.requests.clear()
    done = fmon("poll")
    assert done.returncode == 0, done.stderr
    assert "the variables of new jobs could not be compared yet: SkyPilot's API server answered HTTP 500" in (
        done.stderr
    )
    followed.on_queue = right
    assert fmon("poll").stderr.count("could not be compared") == 0
    assert rows("select count(*)::bigint as n from variable_check") == [{"n": 4}]
    assert rows("select count(*)::bigint as n from poll where is_ok") == [{"n": 3}]


def test_a_server_that_gives_no_log_costs_the_poll_nothing_else(followed):
    followed.jobs[3] |= {"status": "FAILED", "end_at": START.timestamp() + 60}
    followed.on_logs = lambda it: it.send(500, "oops")
    done = fmon("poll")
    assert done.returncode == 0, done.stderr
    assert "no log of job 4 (SkyPilot's API server answered HTTP 500: oops)" in done.stderr
    assert rows("select status, category from failure") == [{"status": "FAILED", "category": "unknown"}]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_poll_that_meets_a_fault_exits_11_and_the_next_one_carries_on(followed, kind):
    stage, fault = FAULTS[kind]
    right = getattr(followed, stage)
    setattr(followed, stage, fault)
    done = fmon("poll")
    assert done.returncode == 11, done.stderr
    assert "Traceback" not in done.stderr
    setattr(followed, stage, right)
    followed.jobs[0] = {**followed.jobs[0], "status": "SUCCEEDED", "end_at": START.timestamp() + 60}
    assert fmon("poll").returncode == 0
    found = rows("select is_ok, error_type, error from poll order by poll_id")
    assert [row["is_ok"] for row in found] == [True, False, True]
    assert found[1]["error_type"]
    assert found[1]["error"]
    states = rows("select state, count(*)::bigint as n from condition group by all order by all")
    assert states == [{"state": "running", "n": 3}, {"state": "succeeded", "n": 1}]


def test_ctrl_c_ends_a_watch_and_leaves_a_valid_store(followed):
    watching = subprocess.Popen(
        [sys.executable, "-m", "fmon", "watch", "--interval", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while len(followed.asked) < 8:
        assert time.monotonic() < until, "watch does not poll"
        time.sleep(0.05)
    os.kill(watching.pid, signal.SIGINT)
    said, complaint = watching.communicate(timeout=30)
    assert watching.returncode == 130, complaint
    assert "Traceback" not in said + complaint
    assert fmon("poll").returncode == 0
    assert rows("select count(*) filter (where is_ok) >= 3 as yes from poll") == [{"yes": True}]


def test_watch_ends_with_the_documented_code_when_the_last_job_has(followed):
    watching = subprocess.Popen(
        [sys.executable, "-m", "fmon", "watch", "--interval", "1", "--exit-status"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ended = {"status": "SUCCEEDED", "end_at": START.timestamp() + 60}
    followed.jobs = [{**each, **ended} for each in followed.jobs]
    said, complaint = watching.communicate(timeout=60)
    assert watching.returncode == 0, complaint
    assert "4/4 succeeded" in said + complaint
