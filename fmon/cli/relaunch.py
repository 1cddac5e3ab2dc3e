"""Phase 5 on the command line, ``fmon relaunch``, and ``fmon audit``."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.launch import dependencies
from fmon.cli.options import INTERRUPTED, Data, Experiment, Output, Queue, Rows, user
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE
from fmon.cli.stderr import say
from fmon.errors import ConfigError, RuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmon.relaunch.plan import Authorization, RelaunchPlan


def relaunch(
    experiment: Experiment = None,
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the commands as a person would type them; change nothing."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Launch without asking.")] = False,
    include_cancelled: Annotated[
        bool, typer.Option("--include-cancelled", help="Include jobs that a person cancelled.")
    ] = False,
    authorize_cycle: Annotated[
        int | None,
        typer.Option(help="Authorize one cycle beyond the limit.", show_default=False),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="What that cycle may cost [USD].", min=0, show_default=False)
    ] = None,
    output: Rows = Output.table,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Relaunch failed or cancelled conditions as the next cycle, if F1-F5 allow it."""
    from fmon.relaunch.escalation import Escalation
    from fmon.relaunch.relaunch import relaunch as relaunch_phase
    from fmon.study import open_study
    from fmon.terminal.launch import LaunchBar
    from fmon.terminal.relaunch import print_escalation, print_relaunched

    try:
        with LaunchBar() as bar:
            done = relaunch_phase(
                open_study(data, experiment),
                dependencies(queue=queue, progress=bar.show),
                agree=_asking(is_dry=dry_run, yes=yes),
                include_cancelled=include_cancelled,
                authorization=_authorization(authorize_cycle, budget),
            )
    except RuleError as refusal:
        if isinstance(refusal.report, Escalation):
            print_escalation(refusal.report, output)
        raise
    except KeyboardInterrupt:
        say("interrupted; the same command resumes the same cycle and launches nothing twice")
        raise typer.Exit(INTERRUPTED) from None
    print_relaunched(done, output)
    say(*done.sentences(is_dry=dry_run))
    if done.dispatched is not None:
        done.dispatched.require_all(f"fmon relaunch {done.plan.experiment_id}")


def _asking(*, is_dry: bool, yes: bool) -> Callable[[RelaunchPlan], bool]:
    """Give what decides once every rule has passed: a dry run, ``--yes``, or whoever sits at the terminal."""

    def agree(plan: RelaunchPlan) -> bool:
        if is_dry or yes:
            return not is_dry
        say(*plan.sentences())
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError("no terminal to ask on; pass --yes to launch, or --dry-run to preview")
        return typer.confirm("Launch?", err=True)

    return agree


def _authorization(cycle: int | None, budget_usd: float | None) -> Authorization | None:
    """Read a person's word for a cycle; its sum belongs to it."""
    from fmon.relaunch.plan import Authorization

    if cycle is None and budget_usd is None:
        return None
    if cycle is None or budget_usd is None:
        raise ConfigError("--authorize-cycle N and --budget USD belong together")
    if not math.isfinite(budget_usd):
        raise ConfigError(f"--budget {budget_usd} is no sum; say what the cycle may cost in USD")
    return Authorization(cycle, Decimal(str(budget_usd)), user())
