"""A folder that can't be written, also not by root."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Take the right to write away: from root by a mount of the path upon itself, else by its mode."""
    if os.geteuid() != 0:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            path.chmod(mode)
        return
    if not shutil.which("mount"):
        pytest.skip("root needs mount to make a read-only folder")
    made = _run("mount", "--bind", str(path), str(path))
    if made.returncode:
        pytest.skip(f"can't mount here: {made.stderr.strip()}")
    try:
        done = _run("mount", "-o", "remount,ro,bind", str(path))
        assert done.returncode == 0, done.stderr
        yield
    finally:
        assert _run("umount", str(path)).returncode == 0
