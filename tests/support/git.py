"""git in a test's project: nobody's config, and the times that the test says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def git(folder: Path, *words: str, at: datetime) -> None:
    """Run a command of git in a folder, as at a time."""
    when = f"{int(at.timestamp())} +0000"
    dates = {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
    environ = {**os.environ, **dates}
    subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, env=environ, capture_output=True, timeout=60
    )


def commit(folder: Path, message: str, *, at: datetime) -> None:
    """Commit everything that is there."""
    git(folder, "add", "-A", at=at)
    git(folder, "commit", "-q", "-m", message, at=at)
