"""The worker process: whatever SkyPilot's SDK does in it, fmon gets an answer or a sentence in time.

A stand-in for the ``sky`` package plays the SDK here, but for the last tests, which import the real one.
"""

import json
import os
import socket
import textwrap
import time
from pathlib import Path

import pytest

from fmon.errors import QueueError
from fmon.sky import sdk
from fmon.sky.http_queue import HttpQueue
from fmon.sky.queue import SkyQueue, open_queue
from fmon.sky.reader import Answer, JobSpec, LogRequest, LogsDownError
from fmon.sky.sdk import SdkLogs, SdkQueue, ask_worker
from tests.support.fake_server import payload, table

RIGHT = payload(table([{"job_id": 1, "status": "RUNNING"}]))


@pytest.fixture
def stand_in(home, monkeypatch):
    """Write a ``sky`` package whose calls run the given code."""

    def write(queue="return 'id'", logs="return iter(())", body=RIGHT, status=200):
        package = home / "lib/sky"
        for folder in ("jobs", "server"):
            (package / folder).mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("print('a hint from SkyPilot')\n")
        indented = {"queue": textwrap.indent(queue, "    "), "logs": textwrap.indent(logs, "    ")}
        (package / "jobs/__init__.py").write_text(
            f"def queue_v2(**asked):\n{indented['queue']}\ndef tail_logs(**asked):\n{indented['logs']}\n"
        )
        (package / "server/__init__.py").write_text("")
        (package / "server/common.py").write_text(
            "class Response:\n"
            f"    status_code = {status}\n    headers = {{}}\n    content = {json.dumps(body).encode()!r}\n"
            "def make_authenticated_request(*asked, **how):\n    return Response()\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(home / "lib"))

    return write


def test_the_queue_is_read_through_the_sdk(stand_in):
    stand_in()
    answer = SdkQueue().read()
    assert [(seen.job_id, seen.status) for seen in answer.records] == [(1, "RUNNING")]


def test_the_sdk_asks_for_what_was_recorded_of_some_jobs(stand_in, home):
    body = payload(table([{"job_id": 7, "status": "RUNNING", "user_yaml": "run: x"}]))
    stand_in(f"open({str(home / 'asked')!r}, 'w').write(repr(asked)); return 'id'", body=body)
    assert SdkQueue().read_specs([9, 7]) == {7: JobSpec("run: x", None)}
    assert (
        "'job_ids': [7, 9], 'fields': ('job_id', 'user_yaml', 'entrypoint')" in (home / "asked").read_text()
    )


def test_all_jobs_of_all_users_are_asked_for(stand_in, home):
    stand_in(queue=f"open({str(home / 'asked')!r}, 'w').write(repr(asked)); return 'id'")
    SdkQueue().read()
    asked = (home / "asked").read_text()
    assert "'refresh': False" in asked
    assert "'all_users': True" in asked
    assert "'failure_reason'" in asked


def test_what_the_sdk_prints_is_not_the_answer(stand_in):
    stand_in(
        queue="import sys; print('[]'); print('fmon-worker-answer:lies'); print('warn', file=sys.stderr)"
    )
    assert len(SdkQueue().read().records) == 1


def test_the_worker_may_start_no_server_and_tells_nobody(stand_in, monkeypatch):
    monkeypatch.setenv("SKYPILOT_DISABLE_LOCAL_API_SERVER", "0")
    stand_in(queue="import os\nraise RuntimeError([k + v for k, v in os.environ.items() if 'DISABLE' in k])")
    with pytest.raises(QueueError) as caught:
        SdkQueue().read()
    assert "SKYPILOT_DISABLE_LOCAL_API_SERVER1" in str(caught.value)
    assert "SKYPILOT_DISABLE_USAGE_COLLECTION1" in str(caught.value)


def test_a_module_in_the_current_folder_is_not_imported(stand_in, home):
    stand_in()
    (home / "sky.py").write_text("raise SystemExit('hijacked')")
    (home / "json.py").write_text("raise SystemExit('hijacked')")
    assert len(SdkQueue().read().records) == 1


def test_an_error_of_the_sdk_keeps_its_type(stand_in):
    stand_in(queue="class ClusterNotUpError(Exception): pass\nraise ClusterNotUpError('none\\nin progress')")
    with pytest.raises(QueueError, match="none in progress") as caught:
        SdkQueue().read()
    assert caught.value.error_type == "ClusterNotUpError"


def test_an_error_of_the_server_keeps_its_type(stand_in):
    error = {"type": "ClusterNotUpError", "message": "No in-progress managed jobs.", "object": "gASV"}
    stand_in(status=500, body={"detail": payload(None, error=error) | {"error": json.dumps(error)}})
    with pytest.raises(QueueError) as caught:
        SdkQueue().read()
    assert caught.value.error_type == "ClusterNotUpError"


def test_a_missing_sdk_is_one_sentence(stand_in, home):
    stand_in()
    (home / "lib/sky/__init__.py").write_text("raise ImportError('No module named sky')")
    with pytest.raises(QueueError, match="No module named sky"):
        SdkQueue().read()


def test_a_worker_that_dies_is_one_sentence(stand_in):
    stand_in(queue="import os, sys; print('out of memory', file=sys.stderr, flush=True); os._exit(9)")
    with pytest.raises(QueueError, match=r"exit code 9\): out of memory") as caught:
        SdkQueue().read()
    assert "\n" not in str(caught.value)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_with_its_children(stand_in, home):
    stand_in(
        queue="import subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '60'])\nopen({str(home / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(QueueError, match="did not answer within 3 s") as caught:
        ask_worker("queue", timeout_s=3)
    assert caught.value.error_type == "Timeout"
    assert time.monotonic() - began < 10
    pid = int((home / "pid").read_text())
    until = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_logs_of_several_jobs_are_read_by_one_process_and_not_followed(stand_in, home):
    stand_in(
        logs=f"open({str(home / 'asked')!r}, 'a').write(str(__import__('os').getpid()) + '\\n')\n"
        "return iter([repr(sorted(asked.items())), None, '\\n'])"
    )
    asks = [LogRequest(7), LogRequest(8, is_controller=True)]
    answers = dict(SdkLogs().read(asks, timeout_s=30))
    rest = "('follow', False), ('job_id', {}), ('preload_content', False)]\n"
    assert answers[asks[0]].decode() == "[('controller', False), " + rest.format(7)
    assert answers[asks[1]].decode() == "[('controller', True), " + rest.format(8)
    pids = (home / "asked").read_text().split()
    assert len(pids) == 2
    assert len(set(pids)) == 1


@pytest.mark.slow
def test_a_log_that_does_not_end_costs_itself_and_those_behind_it(stand_in):
    stand_in(
        logs="import time\nyield 'first\\n'\n"
        "while asked['job_id'] == 8:\n    time.sleep(0.1)\n    yield 'more\\n'"
    )
    answer = ask_worker("logs", "7", "8", "9", timeout_s=8)
    assert answer[0] == {"text": "first\n"}
    assert answer[1]["type"] == "Timeout"
    assert len(answer) == 2


def test_what_one_log_fails_with_is_its_own_answer(stand_in):
    stand_in(logs="if asked['job_id'] == 7:\n    raise PermissionError('no login')\nreturn iter(['eight'])")
    (_, first), (_, second) = SdkLogs().read([LogRequest(7), LogRequest(8)], timeout_s=30)
    assert first.error_type == "PermissionError"
    assert second == b"eight"


def test_where_no_worker_starts_the_first_log_says_why_for_all(home, monkeypatch):
    (home / "sky.py").write_text("raise ImportError('no sky here')")
    monkeypatch.setenv("PYTHONPATH", str(home))
    ((ask, error),) = SdkLogs().read([LogRequest(7), LogRequest(8)], timeout_s=30)
    assert ask == LogRequest(7)
    assert isinstance(error, LogsDownError)
    assert "no sky here" in str(error)


class Scripted:
    """A queue that fails as told."""

    name = "sky"

    def __init__(self, outcome: QueueError | Answer) -> None:
        self.outcome = outcome
        self.read_count = 0

    def read(self, while_waiting=None) -> Answer:
        self.read_count += 1
        if while_waiting is not None:
            while_waiting()
        if isinstance(self.outcome, QueueError):
            raise self.outcome
        return self.outcome

    def read_specs(self, job_ids) -> dict[int, JobSpec]:
        self.read()
        return dict.fromkeys(job_ids, JobSpec("run: x", None))


def test_specs_too_are_left_to_the_sdk_where_http_does_not_know_them():
    http = Scripted(QueueError("new", error_type="VersionMismatch"))
    sdk_queue = Scripted(Answer(polled_at=None, records=[], bad=[], latency_s=0))
    assert SkyQueue(http, lambda: sdk_queue).read_specs([7]) == {7: JobSpec("run: x", None)}


@pytest.mark.parametrize(
    "error_type", ["VersionMismatch", "AuthRequired", "BadAnswer", "ProxyRequired", "CertificateError"]
)
def test_what_http_does_not_know_is_left_to_the_sdk(error_type):
    answer = Scripted(Answer(polled_at=None, records=[], bad=[], latency_s=0))
    http = Scripted(QueueError("new", error_type=error_type))
    calls = []
    assert SkyQueue(http, lambda: answer).read(lambda: calls.append(1)) is answer.outcome
    assert calls == [1]


@pytest.mark.parametrize(
    "error_type", ["ApiServerConnectionError", "Timeout", "ClusterNotUpError", "HTTP500", "BadConfig"]
)
def test_a_server_that_is_down_slow_or_failing_is_not_asked_twice(error_type):
    http, other = Scripted(QueueError("down", error_type=error_type)), Scripted(QueueError("never"))
    with pytest.raises(QueueError, match=r"^down$"):
        SkyQueue(http, lambda: other).read()
    assert other.read_count == 0


def test_where_both_ways_fail_both_reasons_are_said():
    http = Scripted(QueueError("version 99", error_type="VersionMismatch"))
    with pytest.raises(QueueError, match=r"^version 99; .*: no login$") as caught:
        SkyQueue(http, lambda: Scripted(QueueError("no login", error_type="AuthRequired"))).read()
    assert caught.value.error_type == "VersionMismatch"


@pytest.mark.slow
def test_the_real_sdk_reads_the_queue_where_plain_http_is_refused(server, monkeypatch):
    def pick(it):
        plain = "python-requests" not in it.headers.get("User-Agent", "")
        wrong = {"error": "version_mismatch", "message": "too old"}
        it.send(*((400, wrong) if plain else (200, "null")))

    health = {"status": "healthy", "api_version": "62", "version": "0.14.1", "commit": "x", "user": None}
    server.on_queue = pick
    server.on_other = lambda it: it.send(200, health)
    assert [seen.job_id for seen in open_queue("sky").read().records] == [2, 1]


@pytest.mark.slow
def test_a_local_server_that_is_down_is_not_started_by_the_sdk(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("SKYPILOT_API_SERVER_LOCAL_PORT", str(port))
    with pytest.raises(QueueError):
        HttpQueue().read()
    with pytest.raises(QueueError, match="disabled"):
        SdkQueue().read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not (home / ".sky/api_server/server.log").exists()


def test_the_worker_runs_from_a_bare_environment(monkeypatch, stand_in, home):
    stand_in()
    monkeypatch.setattr(os, "environ", {"PYTHONPATH": str(home / "lib")})
    assert sdk.ask_worker("queue") == [{"job_id": 1, "status": "RUNNING"}]


@pytest.mark.slow
def test_the_sdk_streams_a_log_as_it_arrives_and_its_worker_ends_with_the_reader(stand_in, home):
    pid = home / "pid"
    stand_in(
        logs=f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "yield 'step 1\\n'\nyield None\nyield 'step 2\\n'\ntime.sleep(60)"
    )
    pieces = SdkLogs().stream(LogRequest(7), follow=True, tail=None, timeout_s=30)
    arrived = b""
    while b"step 2\n" not in arrived:
        arrived += next(pieces)
    pieces.close()
    assert arrived == b"step 1\nstep 2\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["raise ValueError('no such job')", "import os\nos._exit(3)"])
def test_a_failing_stream_of_the_sdk_is_reported_in_one_sentence(stand_in, code):
    stand_in(logs=code)
    with pytest.raises(QueueError, match=r"no such job|exit code 3"):
        list(SdkLogs().stream(LogRequest(7), follow=False, tail=None, timeout_s=30))
