"""Programs of Debian's that tests against real parts need, installed where they are missing."""

import os
import shutil
import subprocess


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
    if found := next(filter(None, map(shutil.which, (package, *others))), None):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NotInstalledError(f"no {package} here, and installing it needs root and apt")
    subprocess.run(["apt-get", "update", "-q"], capture_output=True, timeout=300)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-q", package], capture_output=True, text=True, timeout=600
    )
    found = shutil.which(package)
    if done.returncode or not found:
        raise NotInstalledError(f"apt-get install {package} failed: {done.stderr[-300:]}")
    return found
