"""Run the commands that users write into their configs."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KILLED = 128
"""Added to the signal's number if a command was killed, as in shells."""


class Ran(NamedTuple):
    """A finished command of the user."""

    step: str
    command: str
    exit_status: int
    duration_s: float


def run_command(step: str, command: str, *, folder: Path) -> Ran:
    """Run one of the config's commands (``preflight``, ``verify``) in a folder, its output live on stderr.

    It uses the shell on purpose: the user wrote the command line into their own config, with pipes and
    variables; nothing from a job, a log or the queue is ever inserted.
    """
    started = time.monotonic()
    done = subprocess.run(
        command, shell=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    status = done.returncode if done.returncode >= 0 else KILLED - done.returncode
    return Ran(step, command, status, round(time.monotonic() - started, 3))
