"""A gh on the PATH whose GitHub is a folder."""

import os
import sys
from pathlib import Path

import pytest

from tests.support import fake_gh


@pytest.fixture
def github(tmp_path, monkeypatch):
    """The folder of a fake gh that is the only gh on the PATH."""
    programs, folder = tmp_path / "bin", tmp_path / "github"
    programs.mkdir()
    folder.mkdir()
    gh = programs / "gh"
    gh.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S '{fake_gh.__file__}' \"$@\"\n")
    gh.chmod(0o755)
    monkeypatch.setenv("FAKE_GH", str(folder))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(fake_gh, "FOLDER", Path(folder))
    return folder
