"""``fmon.connect`` as a notebook uses it: from any folder, over all experiments, while polls are written."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import fmon
from fmon.errors import ConfigError
from fmon.warehouse import rows
from tests.support.stores import ID, new_store, poll, record

WRITER = """
import sys
from pathlib import Path
from fmon.store.folder import Store
from tests.support.stores import poll, record
stores = [Store(Path(name)) for name in sys.argv[1:]]
minute = 1
while True:
    minute += 1
    for store in stores:
        poll(store, minute, record(1, "RUNNING", recovery_count=minute))
"""


@pytest.mark.slow
def test_reads_all_experiments_while_another_process_appends_polls(tmp_path):
    """Each connection sees whole polls: a heartbeat says one row changed, so there is one row."""
    made = [new_store(tmp_path, name) for name in (ID, "other-20260101T000000Z")]
    for store in made:
        poll(store, 1, record(1, "RUNNING", recovery_count=1))
    command = [sys.executable, "-c", WRITER, *(str(store.path) for store in made)]
    writer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        counts, until = [], time.monotonic() + 60
        while len(set(counts)) < 4 and time.monotonic() < until:
            con = fmon.connect(tmp_path)
            torn = "select poll_id from heartbeat anti join snapshot using (experiment_id, poll_id)"
            assert rows(con, torn) == []
            found = rows(con, "select experiment_id, poll_count from experiment order by all")
            assert {row["experiment_id"] for row in found} == {ID, "other-20260101T000000Z"}
            counts.append(sum(row["poll_count"] for row in found))
        assert writer.poll() is None, writer.stderr.read()
    finally:
        writer.kill()
        writer.wait()
        writer.stderr.close()
    assert counts == sorted(counts)
    assert len(set(counts)) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("data", ["data", "../study/data", "absolute", "~/study/data"])
def test_finds_the_folder_from_anywhere(tmp_path, monkeypatch, data):
    poll(new_store(tmp_path / "study/data"), 1, record(1))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / ("study" if data == "data" else "notebooks"))
    where = tmp_path / "study/data" if data == "absolute" else data
    assert rows(fmon.connect(where), "select job_id from job") == [{"job_id": 1}]


def test_its_default_is_the_folder_data_whatever_the_environment_says(tmp_path, monkeypatch):
    new_store(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMON_DATA", str(tmp_path / "nowhere"))
    assert rows(fmon.connect(), "select experiment_id from experiment") == [{"experiment_id": ID}]


def test_says_which_folder_it_looked_into(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"no experiment in data \({Path.cwd()}/data\); "):
        fmon.connect()


def test_says_which_experiments_there_are(tmp_path):
    new_store(tmp_path, ID)
    with pytest.raises(ConfigError, match=f"starts with 'x'; available: {ID}"):
        fmon.connect(tmp_path, "x")
