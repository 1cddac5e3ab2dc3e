"""The real SkyPilot and the real registry of a test session: one of each, shared by all test files.

``make test-real`` runs two pytest processes, and session fixtures are of one: ``tests/conftest.py`` gives all
files that ask for the server to the same one.
"""

import fcntl
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.early import TASKS
from tests.e2e.real_sky import CannotRunError, RealSky
from tests.support.apt import NotInstalledError, program


@pytest.fixture(scope="session")
def realsky(request: pytest.FixtureRequest, skypilot: RealSky) -> RealSky:
    """A real SkyPilot; where a test of the session wants the early jobs, they are under way."""
    if any("early" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("early")
    return skypilot


@pytest.fixture(scope="session")
def early(skypilot: RealSky) -> dict[str, int]:
    """The ids of the early jobs by name; wait for those that you look at."""
    return dict(zip((task["name"] for task in TASKS), skypilot.launch(TASKS), strict=True))


@pytest.fixture(scope="session")
def skypilot() -> Iterator[RealSky]:
    """A real SkyPilot without any jobs; FMON_KEEP_REALSKY=1 reuses it with its jobs and leaves it up."""
    root = Path(os.environ.get("REALSKY") or Path(tempfile.gettempdir()) / "fmon-realsky").resolve()
    keep = bool(os.environ.get("FMON_KEEP_REALSKY"))
    with root.with_name(root.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip(f"another test session uses {root}; set REALSKY to a folder of your own")
        sky = RealSky(root)
        try:
            if not keep and os.geteuid() == 0:
                sky.purge()  # jobs of an earlier, perhaps killed session
            sky.up()
            yield sky
        except CannotRunError as reason:
            pytest.skip(str(reason))
        finally:
            if not keep and os.geteuid() == 0:
                sky.purge()


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A registry of this test alone on loopback, gone after it."""
    try:
        for name in ("docker-registry", "skopeo"):
            program(name)
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
                "http": {"addr": host},
            }
        )
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        try:
            _wait_for(host, server, folder / "log")
            yield host
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(host, server, log):
    address, _, port = host.partition(":")
    for _ in range(100):
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection((address, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())
