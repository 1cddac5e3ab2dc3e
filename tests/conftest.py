"""Where a test has its stores and its config, and which pytest process of ``make test-real`` runs what."""

from pathlib import Path

import pytest

from tests.support.world import write_config


@pytest.fixture
def data(tmp_path):
    """The data directory; it is not made yet."""
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path):
    """The config of the small experiment."""
    return write_config(tmp_path / "config")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """For ``--dist loadgroup``: all files that ask for the real SkyPilot to one process, others file by file.

    xdist 3.8 does this by the mark ``xdist_group``, which it can't read with pytest 9.2: both processes got
    tests of the server, and one of them skipped them.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByServer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "realsky" if "realsky" in Path(config.rootpath, file).read_text() else file

    return ByServer(config, log)
