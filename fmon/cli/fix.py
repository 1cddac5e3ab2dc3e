"""Phases 3 and 4 on the command line: ``fmon diagnose`` and ``fmon fix ...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fmon.cli.options import (
    INTERRUPTED,
    Data,
    Experiment,
    ExperimentOption,
    Output,
    Rows,
    now,
    user,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.stderr import say
from fmon.clock import Clock

RAN = ("step", "exit_status", "duration_s")
LINKS = ("link", "result", "evidence")
"""Columns of what is printed."""


app = typer.Typer(no_args_is_help=True, help="Fix what a diagnosis has named, as one batch.")


@app.command()
def plan(
    experiment: Experiment = None, *, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Print one batch plan: a work order for each root cause, ready to be handed on."""
    from fmon.fix.plan import fix_plan
    from fmon.study import open_study
    from fmon.terminal.fix_plan import print_fix_plan

    print_fix_plan(fix_plan(open_study(data, experiment), is_named=experiment is not None), output)


@app.command()
def record(
    root_cause_id: Annotated[str, typer.Argument(help="As fmon diagnose names it.", show_default=False)],
    *,
    what: Annotated[str, typer.Option(help="What was done, in a few words.", show_default=False)],
    by: Annotated[
        str | None, typer.Option(help="Who did it; default: who is logged in.", show_default=False)
    ] = None,
    experiment: ExperimentOption = None,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Record what was done about a root cause; one that needs a person is relaunched only then."""
    from fmon.fix.steps import record as record_phase
    from fmon.study import open_study

    record_phase(open_study(data, experiment), root_cause_id, what=what, by=by or user(), now=now())
    say(f"recorded for {root_cause_id}; commit the fixes of all causes as one, then fmon fix run")


@app.command()
def run(
    experiment: Experiment = None, *, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Run the config's tests, build and push in this order, up to the first that fails."""
    from fmon.errors import RuleError
    from fmon.fix.steps import run_commands
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    done = []
    try:
        for ran in run_commands(open_study(data, experiment), clock=Clock()):
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
        message = f"{last.step} ended with exit status {last.exit_status}; fix it, then fmon fix run"
        raise RuleError(3, message)
    say("next: fmon fix verify")


@app.command()
def verify(
    experiment: Experiment = None, *, output: Rows = Output.table, data: Data = Path(DEFAULT_DATA)
) -> None:
    """Measure the chain from diagnosis to image now: commit, tree, tests, digest, task YAML (F3)."""
    from fmon.errors import RuleError
    from fmon.fix.steps import verify as verify_phase
    from fmon.study import open_study
    from fmon.terminal.rows import print_rows

    verified = verify_phase(open_study(data, experiment), now=now())
    print_rows(LINKS, [link._asdict() for link in verified.links], output)
    if not verified.rerun_count:
        say(f"{verified.experiment_id}: no condition is to be run again, so nothing is to be verified")
    elif verified.broken:
        message = f"the chain is broken at {', '.join(verified.broken)}; fix it, then fmon fix verify"
        raise RuleError(3, message)
    else:
        say(f"the chain holds for {verified.rerun_count:,} conditions; next: fmon relaunch --dry-run")
