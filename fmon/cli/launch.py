"""Phase 1 on the command line: ``fmon plan``, ``fmon launch`` and ``fmon adopt``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fmon.cli.options import (
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
from fmon.cli.submitting import LaunchCall, launch_and_watch, run_launch
from fmon.model import MAX_CONDITIONS


def plan(
    config: Config,
    *,
    task: TaskFile = None,
    env_file: EnvFile = None,
    conditions: Annotated[
        bool,
        typer.Option(
            "--conditions",
            help="Also print every condition with its variables, and what resources differ from the task.",
        ),
    ] = False,
    over_budget: OverBudget = False,
    allow_bare_vm: AllowBareVm = False,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    output: Rows = Output.table,
) -> None:
    """Print the grid, the checks and the estimated cost; change nothing. Exit code 2: a check failed."""
    from fmon.launch.plan import plan as plan_phase
    from fmon.launch.preflight import Consent
    from fmon.terminal.plan import print_plan

    planned = plan_phase(
        config,
        task_file=task,
        env_file=env_file,
        max_conditions=max_conditions,
        consent=Consent(bare_vm=allow_bare_vm, over_budget=over_budget),
    )
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
    watch_after: Annotated[
        bool, typer.Option("--watch", help="Watch after launching, and submit what is still queued.")
    ] = False,
    allow_bare_vm: AllowBareVm = False,
    by: By = None,
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch one managed job per condition, exactly once; run the command again to resume."""
    from fmon.launch.plan import launch_arguments

    call = LaunchCall(
        config=config,
        data=data,
        by=by or user(),
        task=task,
        env_file=env_file,
        yes=yes,
        is_dry=dry_run,
        over_budget=over_budget,
        allow_bare_vm=allow_bare_vm,
        max_conditions=max_conditions,
    )
    words = launch_arguments(
        config,
        task_file=task,
        env_file=env_file,
        max_conditions=max_conditions,
        consent=call.options.consent,
    )
    command = shlex.join(["fmon", "launch", *words])
    if watch_after and not dry_run:
        launch_and_watch(call, interval=interval).require_all(command)
    else:
        run_launch(call).dispatched.require_all(command)


def adopt(
    config: Config,
    *,
    task: TaskFile = None,
    since: Since = None,
    allow_bare_vm: AllowBareVm = False,
    by: By = None,
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
        allow_bare_vm=allow_bare_vm,
        by=by or user(),
    )
    say(*adopted.sentences())
    print_lines([adopted.experiment_id])
    refuse_bad(adopted.bad)
