"""Phase 1 on the command line: ``fmon plan``, ``fmon launch`` and ``fmon adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.ask import confirming, require_consent
from fmon.cli.monitor import watch
from fmon.cli.options import (
    INTERRUPTED,
    AllowBareVm,
    By,
    Config,
    Data,
    DryRun,
    EnvFile,
    Interval,
    MaxConditions,
    Output,
    OverBudget,
    Queue,
    Rows,
    Since,
    TaskFile,
    Yes,
    now,
    print_lines,
    user,
    utc,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE
from fmon.cli.services import services
from fmon.cli.stderr import refuse_bad, say
from fmon.model import MAX_CONDITIONS
from fmon.text import counted

if TYPE_CHECKING:
    from fmon.launch.outcome import Launched


def plan(
    config: Config,
    *,
    task: TaskFile = None,
    env_file: EnvFile = None,
    conditions: Annotated[
        bool, typer.Option("--conditions", help="Also print every condition with its variables.")
    ] = False,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    output: Rows = Output.table,
) -> None:
    """Print the grid, the checks and the estimated cost; change nothing. Exit code 2: a check failed."""
    from fmon.launch.plan import plan as plan_phase
    from fmon.terminal.plan import print_plan

    planned = plan_phase(config, task_file=task, env_file=env_file, max_conditions=max_conditions)
    print_plan(planned, output, with_conditions=conditions)
    planned.require_passed()


def launch(
    config: Config,
    *,
    task: TaskFile = None,
    env_file: EnvFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    over_budget: OverBudget = False,
    watch_after: Annotated[bool, typer.Option("--watch", help="Watch after launching.")] = False,
    allow_bare_vm: AllowBareVm = False,
    by: By = None,
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch one managed job per condition, exactly once; run the command again to resume."""
    launched = run_launch(
        config,
        data,
        task=task,
        env_file=env_file,
        by=by,
        is_dry=dry_run,
        yes=yes,
        over_budget=over_budget,
        allow_bare_vm=allow_bare_vm,
        max_conditions=max_conditions,
    )
    done = launched.dispatched
    if watch_after and not dry_run and done.error is None:
        watch(experiment=launched.experiment_id, interval=interval, queue="sky", data=data)
    done.require_all(f"fmon launch {config}")


def adopt(
    config: Config,
    *,
    task: TaskFile = None,
    since: Since = None,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Monitor jobs that are already running: match them to the conditions of a config."""
    from fmon.launch.adopt import adopt as adopt_phase

    adopted = adopt_phase(
        config,
        services().open_queue(queue),
        data,
        task_file=task,
        since=utc(since),
        now=now(),
        max_conditions=max_conditions,
        digest_of=services().digest_of,
    )
    say(*adopted.sentences())
    print_lines([adopted.experiment_id])
    refuse_bad(adopted.bad)


def run_launch(
    config: Path,
    data: Path,
    *,
    task: Path | None = None,
    env_file: Path | None = None,
    by: str | None,
    is_dry: bool = False,
    yes: bool,
    over_budget: bool,
    allow_bare_vm: bool,
    max_conditions: int = MAX_CONDITIONS,
) -> Launched:
    """Launch and print what was done; the caller raises the error about what could not be launched."""
    from fmon.launch.arguments import LaunchOptions
    from fmon.launch.launch import launch
    from fmon.terminal.launch import LaunchBar, shown

    printed: list[str] = []

    def agree(preview: Launched) -> bool:
        if not yes:
            printed.extend(preview.sentences())
            say(*shown(preview.lines()), *printed)
            require_consent(
                f"Launch {counted(len(preview.to_launch), 'job')}?", verb="launch", participle="launched"
            )
        return True

    options = LaunchOptions(
        by=by or user(),
        task=task,
        env_file=env_file,
        is_dry=is_dry,
        allow_bare_vm=allow_bare_vm,
        is_over_budget_allowed=over_budget,
        agree=agree,
        confirm=confirming(yes=yes),
    )
    try:
        with LaunchBar() as bar:
            launched = launch(
                config,
                data,
                services().dependencies(queue="sky", progress=bar.show),
                options,
                max_conditions=max_conditions,
            )
    except KeyboardInterrupt:
        say("interrupted; run the command again to resume, nothing is launched twice")
        raise typer.Exit(INTERRUPTED) from None
    say(*(sentence for sentence in launched.sentences() if sentence not in printed))
    print_lines(launched.lines())
    return launched
