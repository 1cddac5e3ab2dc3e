"""Runs of a real MLflow server with sqlite on loopback: tagged by their environment, read, joined, shown."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmon.clients.mlflow import tracked_runs
from fmon.errors import TrackingError
from fmon.launch.job_yaml import job_envs
from fmon.model import Condition, Experiment, Limits, Tracking
from fmon.report.report import report
from fmon.study import open_study
from fmon.warehouse import connect, rows
from tests.support.studies import NAME, START, job, poll, study

pytestmark = pytest.mark.real

TRAIN = """
import mlflow
with mlflow.start_run():
    mlflow.log_metric("dice", 0.5)
    mlflow.log_metric("dice", 0.75)
"""


@pytest.fixture(scope="module")
def python():
    """A Python with the whole of MLflow, kept between sessions in $FMON_MLFLOW."""
    folder = Path(os.environ.get("FMON_MLFLOW") or Path(tempfile.gettempdir()) / "fmon-mlflow")
    program = folder / "bin/python"
    if not (folder / "bin/mlflow").exists():
        uv = Path(sys.executable).with_name("uv")
        for words in (["venv", "-q", folder], ["pip", "install", "-q", "--python", program, "mlflow"]):
            done = subprocess.run([uv, *words], capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"MLflow can't be installed here: {done.stderr[-300:]}")
    return program


@pytest.fixture(scope="module")
def server(python, tmp_path_factory):
    """The URI of a server of this test alone, gone after it."""
    pytest.importorskip("mlflow", reason="fmon[mlflow] is not installed: pip install 'fmon[mlflow]'")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [
        python.with_name("mlflow"),
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", folder]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_for(uri, process, folder / "log")
            yield uri
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(uri, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(log.read_text())


def test_a_run_is_tagged_by_its_environment_and_joined_to_its_condition(server, python, tmp_path):
    settings = Tracking(tracking_uri=server, experiment="study", metrics=["dice"])
    store = study(tmp_path / "data", mlflow=settings)
    poll(store, 20, [job(number, "SUCCEEDED") for number in range(1, 7)])
    cell = Condition(condition_id="c2", kind="grid", factors={}, job_name="c2")
    experiment = Experiment(
        experiment_name="study", config_file="e.yaml", skypilot_yaml="t.yaml", factors={}, conditions=[],
        inner_factors={}, limits=Limits(), prices={}, mlflow=settings,
    )  # fmt: skip
    envs = job_envs(experiment, cell, experiment_id=NAME, cycle=0)
    where = {"MLFLOW_TRACKING_URI": server, "MLFLOW_EXPERIMENT_NAME": "study"}
    subprocess.run([python, "-c", TRAIN], env={**os.environ, **envs, **where}, check=True, timeout=120)

    done = report(
        open_study(store.path.parent, NAME), tmp_path / "reports", track=tracked_runs, now=datetime.now(UTC)
    )
    assert done.untracked is None
    (row,) = rows(connect(store.path.parent), "select * from run")
    assert (row["condition_id"], row["cycle"], row["joined_by"]) == ("c2", 0, "condition")
    assert (row["status"], row["metrics"]) == ("FINISHED", {"dice": 0.75})
    second = json.loads(done.jsonl.read_text().splitlines()[1])
    assert (second["mlflow_run_id"], second["metrics"]) == (row["run_id"], {"dice": 0.75})
    assert f'<a href="{server}/#/experiments/' in done.html.read_text()


def test_what_the_server_does_not_have_and_a_server_that_is_down_are_sentences(server):
    with pytest.raises(TrackingError, match="has no experiment 'nothing'"):
        tracked_runs(Tracking(tracking_uri=server, experiment="nothing"), START)
    begun = time.monotonic()
    with pytest.raises(TrackingError, match="did not answer"):
        tracked_runs(Tracking(tracking_uri="http://127.0.0.1:9", experiment="study"), START)
    assert time.monotonic() - begun < 60
