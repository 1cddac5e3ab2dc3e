"""The queue from a file: what the CLI printed, with whatever was printed before it."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from fmon.errors import ConfigError, QueueError
from fmon.sky.file_queue import FileQueue
from fmon.sky.queue import open_queue
from fmon.sky.reader import JobSpec

JOB = {
    "job_id": 1,
    "task_id": 0,
    "job_name": "a",
    "status": "RUNNING",
    "submitted_at": 1795468886.2,
    "start_at": None,
}


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "queue.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return FileQueue(str(path)).read()

    return read


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([JOB]),
        json.dumps([JOB], indent=2),
        json.dumps({"jobs": [JOB], "total": 1}),
        "\ufeff" + json.dumps([JOB]),
        "Fetching managed job statuses...\n[1/2] waiting\n[2] {\n" + json.dumps([JOB]) + "\nhint: upgrade\n",
        "\x1b[36mChecking\x1b[0m\r\n  " + json.dumps([JOB], indent=2),
    ],
)
def test_the_records_are_found(read, text):
    answer = read(text)
    (seen,) = answer.records
    assert (seen.job_id, seen.status, seen.start_at, seen.region) == (1, "RUNNING", None, None)
    assert answer.bad == []


def test_an_empty_array_is_an_empty_queue(read):
    assert read("[]").records == []


def test_nan_as_python_prints_it_is_unknown(read):
    assert read('[{"job_id": 1, "status": "A", "end_at": NaN}]').records[0].end_at is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("no json", "contains no JSON array of jobs"),
        ("[1, 2]", "contains no JSON array of jobs"),
        ('[{"job_id": 1', "is cut off in the middle of its JSON"),
        ('[\n  {\n    "job_id": 1,\n  },\n  {\n    "job', "is cut off in the middle of its JSON"),
        (f"{json.dumps([JOB])}\n{json.dumps([JOB])}\n", "more than one JSON value"),
        (json.dumps([JOB]) + json.dumps([]), "more than one JSON value"),
        (json.dumps([JOB], indent=2) + '\n[\n  {\n    "job_id"', "more than one JSON value"),
        (json.dumps([JOB]) + " , " + json.dumps([JOB]), "more than one JSON value"),
        (json.dumps([JOB]) + "\nnull\n", "more than one JSON value"),
        ("[]\n[]\n", "more than one JSON value"),
        (json.dumps([JOB]) + "\n" + json.dumps(JOB), "more than one JSON value"),
        (f"{json.dumps(JOB)}\n{json.dumps(JOB)}\n", "more than one JSON value"),
        (json.dumps(JOB), "contains no JSON array of jobs"),
        ("null", "contains no JSON array of jobs"),
        ("{}", "contains no JSON array of jobs"),
        ('{"error": "down"}\n' + json.dumps({"jobs": [JOB]}), "more than one JSON value"),
        ('{"polled_at": "yesterday", "jobs": []}', "not an ISO 8601 time"),
        ("[" * 100_000, "contains no JSON array of jobs"),
        ("[\n" * 10_000, "contains no JSON array of jobs"),
        (b"\x80\x04\x95pickle", "contains no JSON array of jobs"),
        ('{"jobs": 5}', "contains no JSON array of jobs"),
        ('{"error": "Could not connect\\nto the server"}', "Could not connect to the server"),
        ('{"error": {"type": "ClusterNotUpError", "message": "no jobs"}}', "no jobs"),
    ],
)
def test_a_file_without_a_queue_is_one_sentence(read, text, words):
    with pytest.raises(QueueError) as caught:
        read(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_type_of_an_error_is_kept(read):
    with pytest.raises(QueueError) as caught:
        read('{"error": {"type": "ClusterNotUpError", "message": "no jobs"}}')
    assert caught.value.error_type == "ClusterNotUpError"


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(QueueError, match=r"none\.json can't be read \(No such file or directory\)"):
        FileQueue(str(tmp_path / "none.json")).read()
    with pytest.raises(QueueError, match="can't be read"):
        FileQueue(str(tmp_path)).read()


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps([JOB]).encode())))
    queue = open_queue("file:-")
    assert queue.name == "file:-"
    assert len(queue.read().records) == 1


@pytest.mark.parametrize("src", ["sky:", "sky:x", "file:", "file", "http://x", " sky"])
def test_another_source_is_refused(src):
    if src == "sky:":
        assert open_queue(src).name == "sky"
        return
    with pytest.raises(ConfigError, match="is not a valid source"):
        open_queue(src)


@pytest.mark.parametrize("src", [None, "", "sky"])
def test_the_default_source_is_sky(src):
    assert open_queue(src).name == "sky"


def test_what_was_recorded_at_the_submission_is_that_of_the_last_read(tmp_path):
    path = tmp_path / "queue.json"
    path.write_text(json.dumps([{**JOB, "user_yaml": "envs: {A: 1}"}, {**JOB, "job_id": 2}]))
    queue = FileQueue(str(path))
    assert queue.read_specs([2]) == {2: JobSpec(None, None)}
    queue.read()
    path.unlink()
    assert queue.read_specs([1, 7]) == {1: JobSpec("envs: {A: 1}", None)}


def test_a_file_is_as_old_as_its_own_time_or_its_last_change(tmp_path):
    path = tmp_path / "queue.json"
    path.write_text(json.dumps([JOB]))
    os.utime(path, (1_795_000_000, 1_795_000_000))
    assert FileQueue(str(path)).read().polled_at.timestamp() == 1_795_000_000
    path.write_text(json.dumps({"polled_at": "2026-03-22T07:00:00+02:00", "jobs": [JOB]}))
    assert FileQueue(str(path)).read().polled_at == datetime(2026, 3, 22, 5, tzinfo=UTC)
    os.utime(path, (9e9, 9e9))
    path.write_text(json.dumps([JOB]))
    assert FileQueue(str(path)).read().polled_at <= datetime.now(UTC)


def test_a_redirected_file_is_as_old_as_the_file_and_a_pipe_is_new(tmp_path):
    path = tmp_path / "queue.json"
    path.write_text(json.dumps([JOB]))
    os.utime(path, (1_795_000_000, 1_795_000_000))
    script = "from fmon.sky.file_queue import FileQueue; print(FileQueue('-').read().polled_at.timestamp())"
    with path.open() as file:
        done = subprocess.run([sys.executable, "-c", script], stdin=file, capture_output=True, check=True)
    assert float(done.stdout) == 1_795_000_000
    started = datetime.now(UTC).timestamp()
    done = subprocess.run(
        [sys.executable, "-c", script], input=path.read_bytes(), capture_output=True, check=True
    )
    assert float(done.stdout) >= started
