"""What commands that launch share: the world outside, the question about the budget, a bar (floor 7)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fmon.commands.options import INTERRUPTED, now, print_lines
from fmon.polling import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmon.phases.launch import Launched, World


def run_launch(
    config: Path, data: Path, *, is_dry: bool, yes: bool, allow_bare_vm: bool, max_conditions: int
) -> Launched:
    """Launch and say what was done; what could not be launched is left to the caller to refuse."""
    from fmon.phases.launch import Wish, launch
    from fmon.terminal import LaunchBar

    wish = Wish(by=user(), is_dry=is_dry, allow_bare_vm=allow_bare_vm, confirm=asking(yes=yes))
    try:
        with LaunchBar() as bar:
            launched = launch(config, data, world(), wish, max_conditions=max_conditions, progress=bar.show)
    except KeyboardInterrupt:
        say("interrupted; the same command resumes and launches nothing twice")
        raise typer.Exit(INTERRUPTED) from None
    say(*launched.sentences())
    print_lines(launched.lines())
    return launched


def world() -> World:
    """Give the real world: SkyPilot, the image's registry, this machine."""
    from fmon.phases.launch import World
    from fmon.registry import digest_of
    from fmon.sky.queue import open_queue
    from fmon.sky.sdk_submit import SdkSubmitter

    return World(
        open_submitter=SdkSubmitter,
        queue=open_queue("sky"),
        digest_of=digest_of,
        environ=os.environ,
        folder=Path.cwd(),
        clock=now,
        sleep=time.sleep,
        monotonic=time.monotonic,
    )


def asking(*, yes: bool) -> Callable[[str], bool] | None:
    """Ask on the terminal; None where nobody sits at one."""
    if yes:
        return lambda question: True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda question: typer.confirm(question, err=True)


def user() -> str:
    """Name who does it, for the audit."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a uid without a name, as in some containers
