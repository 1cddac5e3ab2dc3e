"""What commands that launch share: the world outside, the question about the budget, a bar."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.monitor import watch
from fmon.cli.options import (
    INTERRUPTED,
    Config,
    Data,
    Interval,
    MaxConditions,
    Output,
    Queue,
    Rows,
    now,
    print_lines,
    user,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE
from fmon.cli.stderr import refuse_bad, say
from fmon.clock import Clock
from fmon.model import MAX_CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmon.launch.launch import LaunchDependencies
    from fmon.launch.outcome import Launched


def plan(
    config: Config, *, max_conditions: MaxConditions = MAX_CONDITIONS, output: Rows = Output.table
) -> None:
    """Print the grid, its counts, checks and estimated cost; changes nothing."""
    from fmon.launch.plan import plan as plan_phase
    from fmon.terminal.plan import print_plan

    print_plan(plan_phase(config, max_conditions=max_conditions), output)


def launch(
    config: Config,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at everything and change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Launch even if the estimate exceeds the budget.")
    ] = False,
    go_on: Annotated[bool, typer.Option("--watch", help="Watch after launching.")] = False,
    allow_bare_vm: Annotated[
        bool, typer.Option("--allow-bare-vm", help="Launch without a container image; the audit records it.")
    ] = False,
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch one managed job per condition, exactly once; called again it resumes."""
    from fmon.cli.launch import run_launch

    launched = run_launch(
        config,
        data,
        is_dry=dry_run,
        yes=yes,
        allow_bare_vm=allow_bare_vm,
        max_conditions=max_conditions,
    )
    done = launched.dispatched
    if go_on and not dry_run and done.error is None:
        watch(launched.experiment_id, interval=interval, queue="sky", data=data)
    done.require_all(f"fmon launch {config}")


def adopt(
    config: Config,
    *,
    since: Annotated[
        datetime | None,
        typer.Option(help="Leave out jobs submitted before this time (UTC).", show_default=False),
    ] = None,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Watch jobs that already run: match their names to the config's conditions."""
    from fmon.launch.adopt import adopt as adopt_phase
    from fmon.sky.queue import open_queue

    since = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
    adopted = adopt_phase(
        config, open_queue(queue), data, since=since, now=now(), max_conditions=max_conditions
    )
    say(*adopted.sentences())
    print_lines([adopted.experiment_id])
    refuse_bad(adopted.bad)


def run_launch(
    config: Path, data: Path, *, is_dry: bool, yes: bool, allow_bare_vm: bool, max_conditions: int
) -> Launched:
    """Launch and say what was done; what could not be launched is left to the caller to refuse."""
    from fmon.launch.launch import LaunchOptions, launch
    from fmon.terminal.launch import LaunchBar

    options = LaunchOptions(by=user(), is_dry=is_dry, allow_bare_vm=allow_bare_vm, confirm=asking(yes=yes))
    try:
        with LaunchBar() as bar:
            launched = launch(
                config, data, dependencies(progress=bar.show), options, max_conditions=max_conditions
            )
    except KeyboardInterrupt:
        say("interrupted; the same command resumes and launches nothing twice")
        raise typer.Exit(INTERRUPTED) from None
    say(*launched.sentences())
    print_lines(launched.lines())
    return launched


def dependencies(*, queue: str = DEFAULT_QUEUE, progress: Callable[[int, int], None]) -> LaunchDependencies:
    """Give the real world: SkyPilot, the image's registry, this machine."""
    from fmon.clients.registry import digest_of
    from fmon.launch.launch import LaunchDependencies
    from fmon.sky.queue import open_queue
    from fmon.sky.submit.sdk import SdkSubmitter

    return LaunchDependencies(
        open_submitter=SdkSubmitter,
        queue=open_queue(queue),
        digest_of=digest_of,
        environ=os.environ,
        folder=Path.cwd(),
        clock=Clock(),
        progress=progress,
    )


def asking(*, yes: bool) -> Callable[[str], bool] | None:
    """Ask on the terminal; None where nobody sits at one."""
    if yes:
        return lambda question: True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda question: typer.confirm(question, err=True)
