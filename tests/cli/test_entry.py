"""The command line as a whole process: exit codes, streams, a bare environment."""

import json
import re
import subprocess
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from fmon.cli.app import app
from fmon.launch.adopt import adopt
from fmon.sky.queue import open_queue
from tests.support import ROOT
from tests.support.commands import FMON, fmon
from tests.support.queues import NAMES, START, job
from tests.support.world import write_config


def commands():
    """Ask --help which commands there are."""
    alone = [command.callback.__name__ for command in app.registered_commands]
    grouped = [
        f"{group.name} {command.callback.__name__}"
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands
    ]
    return sorted(alone + grouped)


def test_help_has_the_phases_in_their_order():
    panels = re.findall(r"Phase (\d)|─ (Recordings|Views) ─", fmon("--help").stdout)
    assert ["".join(found) for found in panels] == [*"123456", "Recordings", "Views"]


@pytest.fixture
def queue(tmp_path):
    """A queue file of four running jobs, as `sky jobs queue -a -o json` prints it."""
    path = tmp_path / "queue.json"
    path.write_text(json.dumps([job(number, name) for number, name in enumerate(NAMES, start=1)]))
    return path


@pytest.fixture
def data(tmp_path, queue):
    """A store with one experiment, adopted from the queue file."""
    adopt(write_config(tmp_path), open_queue(f"file:{queue}"), tmp_path / "data", now=datetime.now(UTC))
    return tmp_path / "data"


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_and_is_in_the_readme(command):
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert len(done.stdout.split("\n")) > 5
    assert f"fmon {command}" in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_adopt_prints_the_experiment_id_and_nothing_else_on_stdout(tmp_path, queue):
    done = fmon("adopt", write_config(tmp_path), "--queue", f"file:{queue}", "--data", tmp_path / "data")
    assert re.fullmatch(r"small-\d{8}T\d{6}Z\n", done.stdout)
    assert "4" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["plan", "{tmp}/none.yaml"], 2),
        (["adopt", "{tmp}/none.yaml"], 2),
        (["status", "nobody"], 2),
        (["sql", "select nonsense"], 2),
        (["sql", "select 1; drop view coverage"], 0),
        (["poll", "--queue", "ftp:x"], 2),
        (["poll", "--queue", "file:{tmp}/none.json"], 11),
        (["replay", "{tmp}"], 2),
        (["status", "--no-such-flag"], 2),
        (["status"], 0),
        (["status", "--exit-status"], 3),
        (["views"], 0),
    ],
)
def test_the_exit_code_is_the_documented_one_and_no_traceback_is_shown(tmp_path, data, args, code):
    (tmp_path / "experiment.yaml").unlink()
    done = fmon(
        *[arg.format(tmp=tmp_path) for arg in args],
        env=None if "--data" in args else {"FMON_DATA": str(data)},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code not in (0, 3):
        assert len(done.stderr.strip()) > 20
        assert done.stdout == ""


def test_a_broken_manifest_is_13(data):
    next(data.glob("small-*/manifest.json")).write_text("{")
    done = fmon("poll", "--data", data, "--queue", "file:-", stdin="[]")
    assert done.returncode == 13
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_invalid_record_is_12_after_the_rest_is_stored(data, queue):
    records = json.loads(queue.read_text())
    records[0]["status"] = "SUCCEEDED"
    done = fmon("poll", "--data", data, "--queue", "file:-", stdin=json.dumps([{"job_id": "x"}, *records]))
    assert done.returncode == 12
    done = fmon("sql", "--data", data, "-o", "json", "select status from job where job_id = 1")
    assert json.loads(done.stdout) == [{"status": "SUCCEEDED"}]


@pytest.mark.slow
def test_poll_runs_in_the_minimal_environment_of_cron_from_another_folder(data, queue, tmp_path):
    """As cron does it: no TTY, no locale, a short PATH, another folder; not even HOME here."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    line = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("* * * * *")
    )
    command = line.removeprefix("* * * * * ").replace("/path/to/.venv/bin/fmon", str(FMON))
    command = command.replace("/path/to/study", str(data.parent)).replace(
        "fmon poll", f"fmon poll --queue file:{queue}"
    )
    done = subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "sh", "-c", command],
        cwd=elsewhere, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    log = (data.parent / "fmon.log").read_text()
    assert done.returncode == 0, log
    found = fmon("sql", "--data", data, "-o", "json", "select count(*)::bigint as n from poll")
    assert json.loads(found.stdout) == [{"n": 2}]


@pytest.mark.slow
def test_a_closed_pipe_is_not_an_error(data):
    done = subprocess.run(
        ["sh", "-c", f"{FMON} sql --data {data} -o json 'select * from range(200000)' | head -c 10"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout
    assert done.stderr == ""


def test_hostile_names_do_not_reach_the_terminal(tmp_path, queue):
    config = write_config(tmp_path)
    queue.write_text(json.dumps([job(1, "\x1b]0;owned\x07[bold]x", status="\x1b[31mRUNNING")]))
    done = fmon("adopt", config, "--queue", f"file:{queue}", "--data", tmp_path / "data")
    assert "\x1b" not in done.stderr + done.stdout


@pytest.mark.slow
def test_json_output_has_json_numbers_times_and_nulls(data):
    query = (
        "select 0.1::decimal(12,4) as usd, 3::hugeint as n, timestamptz '2026-03-22 05:08:00+00' as at,"
        " null as nothing, map {'a': 'b'} as m, true as yes, 1/3 as ratio, 'nan'::double as nan"
    )
    done = fmon("sql", "--data", data, "-o", "json", query)
    assert '"usd": 0.1' in done.stdout
    assert json.loads(done.stdout) == [
        {
            "usd": 0.1, "n": 3, "at": "2026-03-22T05:08:00Z", "nothing": None, "m": {"a": "b"},
            "yes": True, "ratio": 1 / 3, "nan": None,
        }
    ]  # fmt: skip


@pytest.mark.slow
def test_start_is_submitted(data):
    """The epoch seconds of the queue come out as UTC times."""
    done = fmon("sql", "--data", data, "-o", "json", "select submitted_at from job where job_id = 1")
    assert json.loads(done.stdout)[0]["submitted_at"] == f"{START:%Y-%m-%dT%H:%M:%SZ}"
