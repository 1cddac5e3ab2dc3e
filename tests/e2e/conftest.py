"""The real SkyPilot of a test session: one bring-up, shared by all test files."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.real_sky import CannotRunError, RealSky


@pytest.fixture(scope="session")
def realsky() -> Iterator[RealSky]:
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
