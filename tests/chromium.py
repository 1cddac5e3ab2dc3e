"""A headless Chromium for the browser tests and the pictures: Debian's, driven by Playwright."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class NoChromiumError(Exception):
    """There is none here, and it can't be installed: why."""


def chromium() -> str:
    """Find Chromium, installed by apt where it is missing and can be.

    Raises
    ------
    NoChromiumError
        It is missing and stays so.
    """
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoChromiumError("no Chromium here, and installing it needs root and apt")
    subprocess.run(["apt-get", "update", "-q"], capture_output=True, timeout=300)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-q", "chromium"], capture_output=True, text=True, timeout=600
    )
    found = shutil.which("chromium")
    if done.returncode or not found:
        raise NoChromiumError(f"apt-get install chromium failed: {done.stderr[-300:]}")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Start it; it ends with the block."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()
