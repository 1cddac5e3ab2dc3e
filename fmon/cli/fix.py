"""Phase 4 on the command line: ``fmon fix plan``, ``record``, ``run`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from shlex import join, quote
from typing import Annotated

import typer

from fmon.cli.options import (
    INTERRUPTED,
    By,
    Data,
    ExperimentOption,
    IncludeCancelled,
    Output,
    Rows,
    Selection,
    now,
    user,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.services import services
from fmon.cli.stderr import say
from fmon.text import counted

RAN = ("step", "exit_status", "duration_s")
LINKS = ("link", "result", "evidence")
"""Columns of the output."""


app = typer.Typer(no_args_is_help=True, help="Fix the root causes of a diagnosis together.")


@app.command()
def plan(
    *, experiment: ExperimentOption = None, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Print the fix plan, with one task for each root cause."""
    from fmon.fix.plan import fix_plan
    from fmon.study import open_study
    from fmon.terminal.fix_plan import print_fix_plan

    print_fix_plan(fix_plan(open_study(data, experiment), is_named=experiment is not None), output)


@app.command()
def record(
    root_cause_id: Annotated[
        str,
        typer.Argument(
            metavar="ROOT_CAUSE_ID", help="Root cause id, as fmon diagnose shows it.", show_default=False
        ),
    ],
    *,
    what: Annotated[
        str | None,
        typer.Option(
            "--what", metavar="TEXT", help="Description of the fix, in a few words.", show_default=False
        ),
    ] = None,
    no_fix: Annotated[
        str | None,
        typer.Option(
            "--no-fix",
            metavar="REASON",
            help="Instead of --what: why its conditions are relaunched without a fix.",
            show_default=False,
        ),
    ] = None,
    by: By = None,
    experiment: ExperimentOption = None,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Record the fix of a root cause, or why there is none; required before a relaunch (except for auto)."""
    from fmon.errors import ConfigError
    from fmon.fix.steps import record as record_phase
    from fmon.study import open_study

    text = what if no_fix is None else no_fix
    if text is None or None not in (what, no_fix):
        message = "use exactly one of --what TEXT (what was done) and --no-fix REASON (why nothing is done)"
        raise ConfigError(message)
    record_phase(
        open_study(data, experiment),
        root_cause_id,
        what=text,
        is_without_fix=no_fix is not None,
        by=by or user(),
        now=now(),
    )
    if no_fix is None:
        say(f"recorded for {root_cause_id}; commit the fixes of all causes together, then run fmon fix run")
    else:
        say(f"recorded: {root_cause_id} will be relaunched without a fix; next: fmon fix verify")


@app.command()
def run(
    *, experiment: ExperimentOption = None, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Run the config's test, build and push commands; stop at the first that fails."""
    from fmon.errors import RuleError
    from fmon.fix.steps import run_commands
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    met, done = services(), []
    try:
        for ran in run_commands(
            open_study(data, experiment), clock=met.clock, run=met.run_command, ask=met.digest_of
        ):
            say(f"{ran.step}: ended with exit status {ran.exit_status} after {ran.duration_s:.1f} s")
            done.append(ran)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if done:
            rows = [{name: getattr(ran, name) for name in RAN} for ran in done]
            print_rows(RAN, rows, output)
    if done[-1].exit_status != 0:
        last = done[-1]
        message = f"{last.step} ended with exit status {last.exit_status}; fix it, then run fmon fix run"
        raise RuleError(3, message)
    say("next: fmon fix verify")


@app.command()
def verify(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    include_cancelled: IncludeCancelled = False,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Check the chain from diagnosis to image: records, commit, tree, tests, digest, task YAML (F3)."""
    from fmon.errors import RuleError
    from fmon.fix.steps import verify as verify_phase
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    words = [*(selections or ()), *(["--include-cancelled"] if include_cancelled else [])]
    verified = verify_phase(
        open_study(data, experiment),
        now=now(),
        run=services().run_command,
        ask=services().digest_of,
        selections=tuple(selections or ()),
        include_cancelled=include_cancelled,
    )
    print_rows(LINKS, [link._asdict() for link in verified.links], output)
    for cause in verified.blocked:
        conditions = counted(cause.condition_count, "condition")
        command = f"fmon fix record {quote(cause.root_cause_id)} --what '...'"
        say(
            f"{cause.root_cause_id} needs a person: {conditions} can't be relaunched until you fix it "
            f"and run {command}; fmon issues writes an issue for it"
        )
    say(*verified.left_out)
    if not verified.rerun_count:
        say(f"{verified.experiment_id}: no condition to relaunch, so there is nothing to verify")
    elif verified.broken:
        message = f"the chain is broken at {', '.join(verified.broken)}; fix it, then run fmon fix verify"
        raise RuleError(3, message)
    else:
        say(
            f"the chain is intact for {counted(verified.rerun_count, 'condition')}; "
            f"next: {join(['fmon', 'relaunch', *words, '--dry-run'])}"
        )
