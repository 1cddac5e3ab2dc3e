"""A home without SkyPilot, and a fake API server in it."""

import threading

import pytest

from tests.support.fake_server import FakeServer

JOBS = [
    {
        "job_id": 2,
        "task_id": 0,
        "job_name": "sam3-dice_ce",
        "task_name": "sam3-dice_ce",
        "status": "FAILED_SETUP",
        "submitted_at": 1795468886.245596,
        "start_at": 1795468943.5823112,
        "end_at": 1795468974.614232,
        "last_recovered_at": 1795468943.5823112,
        "job_duration": 31.031920909881592,
        "recovery_count": 0,
        "details": "Failure: no such file",
        "failure_reason": "no such file",
        "resources": "1x[H100:1]",
        "cluster_resources": "1x[H100:1]",
        "cloud": "Slurm",
        "region": "demo",
        "zone": "demo",
        "infra": "Slurm (demo)",
        "user_name": "root",
        "user_hash": "fcd1e5cf",
        "workspace": "default",
        "metadata": {
            "fmon": {"experiment": "demo-20260101T000000Z", "condition": "sam3-dice_ce", "cycle": 1}
        },
    },
    {
        "job_id": 1,
        "status": "RUNNING",
        "job_name": "dynunet-dice_ce",
        "last_recovered_at": -1.0,
        "region": "-",
    },
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty HOME, which is also the current folder."""
    for name in [*__import__("os").environ]:
        if name.startswith("SKYPILOT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server(home, monkeypatch):
    """A fake API server that the environment points to."""
    fake = FakeServer(JOBS)
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", fake.url)
    yield fake
    fake.is_over.set()
    fake.shutdown()
    thread.join()
    fake.server_close()
