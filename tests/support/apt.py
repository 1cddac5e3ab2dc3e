"""Programs of Debian's that tests against real parts need, installed where they are missing."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


class NotInstalledError(Exception):
    """A program is missing, and can't be installed: why."""


def program(package: str, *others: str) -> str:
    """Find a program, installed by apt where it is missing and can be.

    Parameters
    ----------
    package : the package, named like its program
    others : other programs that do as well, where they are there already

    Raises
    ------
    NotInstalledError
        It is missing and stays so.
    """
    if found := _found(package, *others):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NotInstalledError(f"no {package} here, and installing it needs root and apt")
    with (Path(tempfile.gettempdir()) / "fmon-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process, or tests/e2e/realsky/up.sh, may install too
        if found := _found(package):
            return found
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, timeout=300)
        done = subprocess.run(
            ["apt-get", "install", "-y", "-q", package], capture_output=True, text=True, timeout=600
        )
    found = _found(package)
    if done.returncode or not found:
        raise NotInstalledError(f"apt-get install {package} failed: {done.stderr[-300:]}")
    return found


def _found(*names: str) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)
