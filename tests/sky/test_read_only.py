"""A poll can't launch, cancel or change anything: not by type, not by name, not on the wire."""

import ast
import contextlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fmon.sky
from fmon.errors import QueueError
from fmon.sky.file_queue import FileQueue
from fmon.sky.http_logs import HttpLogs
from fmon.sky.http_queue import HttpQueue
from fmon.sky.logs import NoLogs, RecordedLogs, SkyLogs, open_logs
from fmon.sky.queue import SkyQueue, open_queue
from fmon.sky.reader import LogReader, LogRequest, QueueReader
from fmon.sky.sdk import SdkLogs, SdkQueue
from tests.support.fake_server import failed, payload, table

FOLDER = Path(fmon.sky.__file__).parent
READS = {"/jobs/queue/v2", "/jobs/logs", "/cost_report", "/api/get?request_id=", "/api/status"}
CHANGES = {"submit/worker.py": {"/jobs/launch"}}
HEAVY = "sky yaml requests pyarrow duckdb polars pandas pydantic rich asyncio subprocess json"


@pytest.mark.parametrize(
    "reader",
    [
        *(QueueReader, SkyQueue, HttpQueue, SdkQueue, FileQueue),
        *(LogReader, SkyLogs, HttpLogs, SdkLogs, RecordedLogs, NoLogs),
    ],
)
def test_a_reader_can_read_and_nothing_else(reader):
    public = {name for name, _ in inspect.getmembers(reader) if not name.startswith("_")}
    assert public <= {"read", "read_specs", "stream", "name"}


def strings(tree):
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_no_module_but_the_one_that_launches_names_an_endpoint_that_changes_something(path):
    tree = ast.parse(path.read_text())
    routes = {text for text in strings(tree) if text.startswith("/") and " " not in text and len(text) > 1}
    assert routes <= READS | CHANGES.get(path.relative_to(FOLDER).as_posix(), set())


def test_the_worker_calls_only_what_reads():
    tree = ast.parse((FOLDER / "worker.py").read_text())
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func).split(".")[0] in ("sky", "sdk", "common", "catalog", "decoders")
    }
    reads = "queue_v2 cost_report tail_logs enabled_clouds list_accelerators"
    assert called == {*reads.split(), "make_authenticated_request", "get_decoder"}


def test_polling_watching_and_reading_never_load_what_launches():
    script = (
        "import sys, fmon.cli.poll, fmon.monitor.ingest, fmon.monitor.classify, fmon.sky.logs\n"
        "import fmon.sky.http_queue, fmon.sky.sdk\n"
        "import fmon.monitor.poll, fmon.monitor.status, fmon.launch.adopt, fmon.monitor.record\n"
        "print([name for name in sys.modules if 'submit' in name or 'dispatch' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_is_ever_unpickled():
    for path in FOLDER.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"pickle", "dill", "cloudpickle", "marshal", "shelve"}


def test_the_wire_carries_only_reads_whatever_the_server_answers(server):
    queue = HttpQueue(deadline_s=0.3)
    for script in (
        lambda it: it.send(200, payload(table(server.jobs))),
        lambda it: it.send(500, failed("ClusterNotUpError", "none")),
        lambda it: it.send(302, "", location="/jobs/cancel"),
        lambda it: it.send(200, b"garbage"),
        lambda it: it.hang(),
    ):
        server.on_get = script
        with contextlib.suppress(QueueError):
            queue.read()
        with contextlib.suppress(QueueError):
            queue.read_specs([1, 2])
    assert set(server.asked) == {"POST /jobs/queue/v2", "GET /api/get"}


def test_a_look_over_http_loads_nothing_heavy(server):
    script = (
        "import sys\nfrom fmon.sky.queue import open_queue\nopen_queue('sky').read()\n"
        f"print(sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_log_is_read_without_following_it_or_starting_a_controller(server):
    list(HttpLogs().read([LogRequest(7, is_controller=True)], timeout_s=30))
    assert server.asked == ["POST /jobs/logs", "GET /api/get"]
    asked = json.loads(server.requests[0][3])
    assert asked == {"job_id": 7, "controller": True, "follow": False, "refresh": False, "tail": None}


def test_opening_the_queue_or_the_logs_asks_nothing(server):
    open_queue("sky")
    open_logs("sky")
    assert server.asked == []
