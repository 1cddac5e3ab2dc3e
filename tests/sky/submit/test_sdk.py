"""SkyPilot's own client against a fake server: nothing is sent twice, and what is certain is known."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fmon.errors import QueueError
from fmon.launch.backoff import refusal_of
from fmon.launch.dispatch import exclusive
from fmon.sky.submit.sdk import SdkSubmitter
from fmon.sky.submit.submitter import Submission
from fmon.store.durable import LockTaken
from tests.support.fake_server import FakeServer, failed, payload

pytestmark = pytest.mark.slow

TASK = "name: job\nrun: echo\n_metadata: {fmon: {experiment: e-1, condition: c, cycle: 0}}\n"
WAIT_S = 90.0


def healthy(handler):
    """Answer as a server that takes every launch; ``server.script`` plays the answers to launches."""
    server = handler.server
    if handler.path == "/api/health":
        handler.send(200, {"status": "healthy", "api_version": "62", "version": "0.14.1", "commit": "c"})
    elif handler.path == "/validate":
        handler.send(200, "null")
    elif handler.path == "/jobs/launch":
        server.on_launch(handler)
    elif handler.path.startswith("/api/status"):
        handler.send(200, server.listed)
    else:
        handler.send(404, {"detail": "Not Found"})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty HOME, which is also the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("SKYPILOT_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        path = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(path))
        patch.chdir(path)
        yield patch


@pytest.fixture(scope="module")
def running(home):
    fake = FakeServer([])
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    home.setenv("SKYPILOT_API_SERVER_ENDPOINT", fake.url)
    submitter = SdkSubmitter()
    yield fake, submitter
    submitter.close()
    fake.is_over.set()
    fake.shutdown()
    thread.join()
    fake.server_close()


@pytest.fixture
def server(running):
    fake, _ = running
    fake.requests.clear()
    fake.on_other = healthy
    fake.on_launch = lambda handler: handler.send(200, "null")
    fake.on_get = lambda handler: handler.send(200, payload({"job_id": [7], "handle": None}))
    fake.listed = []
    return fake


@pytest.fixture
def submitter(running, server):
    return running[1]


def launched(submitter, task=TASK):
    submitter.submit(Submission(attempt_key="c/0/0", job_name="job", task_yaml=task))
    outcome = submitter.outcome(timeout_s=WAIT_S)
    assert outcome is not None
    assert outcome.attempt_key == "c/0/0"
    return outcome


def posts(server):
    return server.asked.count("POST /jobs/launch")


def test_a_launch_gives_its_job_and_carries_name_metadata_and_task(server, submitter):
    assert launched(submitter).job_id == 7
    (body,) = [json.loads(body) for _, path, _, body in server.requests if path == "/jobs/launch"]
    assert body["name"] == "job"
    assert "condition: c" in body["task"]


@pytest.mark.parametrize(
    ("script", "is_uncertain"),
    [
        (lambda handler: handler.send(503, {"detail": "busy"}), True),
        (lambda handler: handler.send(502, "<html>", kind="text/html"), True),
        (lambda handler: handler.cut(), True),
        (lambda handler: handler.send(200, "null", **{"x-skypilot-request-id": ""}), True),
        (lambda handler: handler.send(400, {"detail": "no"}), False),
        (lambda handler: handler.send(403, {"detail": "not yours"}), False),
    ],
    ids=["503", "502", "cut", "no request id", "400", "403"],
)
def test_a_launch_is_sent_once_whatever_is_answered(server, submitter, script, is_uncertain):
    server.on_launch = script
    outcome = launched(submitter)
    assert (outcome.job_id, outcome.is_uncertain, posts(server)) == (None, is_uncertain, 1)
    assert outcome.error_type
    assert outcome.error


def test_too_many_requests_is_certain_and_named_by_its_status(server, submitter):
    server.on_launch = lambda handler: handler.send(429, {"detail": "slow down"})
    outcome = launched(submitter)
    assert (outcome.error_type, outcome.is_uncertain, posts(server)) == ("HTTP429", False, 1)
    assert refusal_of(outcome) == "overload"


def test_an_unavailable_server_is_overloaded_and_the_launch_uncertain(server, submitter):
    server.on_launch = lambda handler: handler.send(503, {"detail": "busy"})
    outcome = launched(submitter)
    assert (refusal_of(outcome), outcome.is_uncertain, posts(server)) == ("overload", True, 1)


def test_an_answer_that_was_lost_on_its_way_is_asked_for_again(server, submitter):
    asked = []

    def lose_two(handler):
        asked.append(1)
        if len(asked) == 1:
            handler.cut()
        elif len(asked) == 2:
            handler.send(503, {"detail": "busy"})
        else:
            handler.send(200, payload({"job_id": [8], "handle": None}))

    server.on_get = lose_two
    assert launched(submitter).job_id == 8
    assert posts(server) == 1


@pytest.mark.parametrize(
    ("script", "error_type", "is_uncertain"),
    [
        (lambda handler: handler.send(500, failed("ValueError", "no such region")), "ValueError", False),
        (
            lambda handler: handler.send(500, failed("RequestInterruptedError", "x")),
            "RequestInterruptedError",
            True,
        ),
        (lambda handler: handler.send(404, {"detail": "Not Found"}), "VersionMismatch", True),
        (lambda handler: handler.send(200, payload({"job_id": None})), "BadAnswer", True),
        (lambda handler: handler.send(200, payload({"job_id": [1, 2]})), "BadAnswer", True),
        (lambda handler: handler.send(200, b"garbage"), "BadAnswer", True),
    ],
    ids=["refused", "interrupted", "forgotten", "no job", "two jobs", "garbage"],
)
def test_only_what_the_server_said_of_the_launch_itself_is_certain(
    server, submitter, script, error_type, is_uncertain
):
    server.on_get = script
    outcome = launched(submitter)
    assert (outcome.job_id, outcome.error_type, outcome.is_uncertain) == (None, error_type, is_uncertain)


def test_a_task_that_can_t_be_read_never_leaves(server, submitter):
    outcome = launched(submitter, "resorces: {}\nrun: x\n")
    assert (outcome.is_uncertain, posts(server)) == (False, 0)
    with pytest.raises(QueueError, match="did you mean 'resources'"):
        submitter.parse("resorces: {}\nrun: x\n")
    assert submitter.parse(TASK) == 1


def test_launches_in_flight_are_those_the_server_lists(server, submitter):
    request = {"request_id": "r", "name": "sky.jobs.launch", "status": "RUNNING"}
    server.listed = [{**request, "request_body": json.dumps({"task": TASK, "name": "job"})}]
    (launch,) = submitter.in_flight()
    assert (launch.experiment_id, launch.condition_id) == ("e-1", "c")
    server.listed = {"detail": "what?"}
    with pytest.raises(QueueError):
        submitter.in_flight()


def test_a_worker_that_dies_leaves_its_launches_uncertain_and_is_replaced(server, submitter):
    server.on_launch = lambda handler: submitter._worker._process.kill() or handler.hang()
    outcome = launched(submitter)
    assert (outcome.error_type, outcome.is_uncertain) == ("WorkerFailed", True)
    server.on_launch = lambda handler: handler.send(200, "null")
    assert launched(submitter).job_id == 7


def test_where_nobody_listens_it_is_certain_that_nothing_was_sent(server, home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://127.0.0.1:9")
        nobody = SdkSubmitter()
        outcome = launched(nobody)
        nobody.close()
    assert (outcome.error_type, outcome.is_uncertain) == ("ApiServerConnectionError", False)


KILLED = """
import sys, time
from pathlib import Path
from fmon.launch.dispatch import exclusive
from fmon.sky.submit.sdk import SdkSubmitter
with exclusive(Path(sys.argv[1]), "small") as hold:
    submitter = SdkSubmitter(hold)
    submitter.parse("run: x")
    print(submitter._worker._process.pid, flush=True)
    time.sleep(60)
"""


def test_the_worker_holds_the_lock_and_dies_with_fmon(server, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        worker = int(process.stdout.readline())
        os.kill(worker, signal.SIGSTOP)  # so that it outlives its parent for a while
        with pytest.raises(LockTaken), exclusive(tmp_path, "small", wait_s=0):
            pass
        held = [file.resolve() for file in Path(f"/proc/{worker}/fd").iterdir()]
        assert tmp_path / ".launch-small.lock" in held
        process.kill()
    until = time.monotonic() + 20
    while True:
        try:
            with exclusive(tmp_path, "small", wait_s=1):
                break
        except LockTaken:
            assert time.monotonic() < until
    assert not _is_alive(worker)


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
