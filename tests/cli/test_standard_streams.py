"""stdout and stderr that are closed, full or unread: the command does its work and exits as ever."""

import json
import os
import subprocess

import pytest

from fmon.launch.adopt import adopt
from tests.support.commands import FMON, fmon
from tests.support.queues import START, FakeQueue, job
from tests.support.world import write_config

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path):
    """A store with one open job; the file of its queue is beside it."""
    jobs = [job(1, "dynunet-dice_ce")]
    adopt(write_config(tmp_path), FakeQueue(jobs), tmp_path / "data", now=START)
    (tmp_path / "queue.json").write_text(json.dumps(jobs))
    return tmp_path / "data"


def shell(line, data):
    """Run a line of the shell and return the exit code of its first command, with what reached stderr."""
    environ = {**os.environ, "FMON_DATA": str(data), "FMON_QUEUE": f"file:{data.parent}/queue.json"}
    line = line.replace("fmon", FMON) + "; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, env=environ)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("fmon --help | true", 0),
        ("fmon status -o json | true", 0),
        ("fmon status --exit-status 2>&1 | true", 3),
        ("fmon status nobody=1 2>&1 | true", 2),
        ("fmon sql 'from range(300000)' -o json | true", 0),
        ("fmon sql 'from range(300000)' -o csv | true", 0),
        ("fmon poll 2>&1 | true", 0),
        ("fmon watch --exit-status | true", 3),
    ],
)
def test_a_reader_that_closes_the_pipe_does_not_change_the_exit_code(data, line, code):
    assert shell(line, data)[0] == code


@pytest.mark.parametrize(
    ("command", "code"),
    [("fmon status --exit-status", 3), ("fmon poll", 0)],
)
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_stream_that_is_closed_or_full_before_the_start_does_not_either(data, command, code, streams):
    assert shell(f"{command} {streams}", data)[0] == code


def test_what_is_stored_while_stdout_is_closed_is_not_what_is_printed(data, tmp_path):
    """A closed descriptor's number is given to the next file that is opened."""
    assert shell("fmon replay data/demo >&- 2>&-", data) == (0, "")
    done = fmon("sql", "-o", "json", "select count(*)::bigint as n from job", "--data", data)
    assert json.loads(done.stdout) == [{"n": 20}]


def test_a_full_disk_is_reported_in_one_sentence(data):
    code, said = shell("fmon status >/dev/full", data)
    assert (code, said) == (14, "fmon: can't write to stdout: No space left on device\n")
