"""Phase 5 on the command line: ``fmon relaunch``."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.ask import confirming, require_consent
from fmon.cli.options import (
    INTERRUPTED,
    By,
    Data,
    DryRun,
    EnvFile,
    ExperimentOption,
    IncludeCancelled,
    Output,
    OverBudget,
    Queue,
    Rows,
    Selection,
    Yes,
    user,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE
from fmon.cli.services import services
from fmon.cli.stderr import say
from fmon.errors import ConfigError, RuleError
from fmon.text import counted

if TYPE_CHECKING:
    from fmon.relaunch.plan import Authorization, RelaunchPlan


def relaunch(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    env_file: EnvFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    over_budget: OverBudget = False,
    include_cancelled: IncludeCancelled = False,
    authorize_cycle: Annotated[
        int | None,
        typer.Option(
            "--authorize-cycle",
            metavar="N",
            help="Authorize one cycle beyond the limit; requires --budget.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="USD",
            help="Budget of the authorized cycle [USD].",
            min=0,
            show_default=False,
        ),
    ] = None,
    by: By = None,
    output: Rows = Output.table,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Relaunch failed or cancelled conditions as the next cycle, if F1-F5 allow it."""
    from fmon.relaunch.escalation import Escalation
    from fmon.relaunch.relaunch import RelaunchOptions
    from fmon.relaunch.relaunch import relaunch as relaunch_phase
    from fmon.study import open_study
    from fmon.terminal.launch import LaunchBar, shown
    from fmon.terminal.relaunch import print_escalation, print_relaunched

    printed: list[str] = []

    def agree(plan: RelaunchPlan) -> bool:
        if not (dry_run or yes):
            printed.extend(plan.sentences())
            say(*shown(plan.commands), *printed)
            require_consent(f"Launch {counted(len(plan.jobs), 'job')}?", verb="launch", participle="launched")
        return not dry_run

    person = by or user()
    options = RelaunchOptions(
        by=person,
        env_file=env_file,
        selections=tuple(selections or ()),
        include_cancelled=include_cancelled,
        authorization=_authorization(authorize_cycle, budget, by=person),
        is_over_budget_allowed=over_budget,
        confirm=confirming(yes=yes),
    )
    try:
        with LaunchBar() as bar:
            done = relaunch_phase(
                open_study(data, experiment),
                services().dependencies(queue=queue, progress=bar.show),
                agree=agree,
                options=options,
                run=services().run_command,
            )
    except RuleError as refusal:
        if isinstance(refusal.report, Escalation):
            print_escalation(refusal.report, output)
        raise
    except KeyboardInterrupt:
        say("interrupted; run the command again to resume the same cycle, nothing is launched twice")
        raise typer.Exit(INTERRUPTED) from None
    print_relaunched(done, output)
    say(*(sentence for sentence in done.sentences(is_dry=dry_run) if sentence not in printed))
    if done.dispatched is not None:
        done.dispatched.require_all(f"fmon relaunch -e {done.plan.experiment_id}")


def _authorization(cycle: int | None, budget_usd: float | None, *, by: str) -> Authorization | None:
    """Return the authorization of one cycle; it needs a budget."""
    from fmon.relaunch.plan import Authorization

    if cycle is None and budget_usd is None:
        return None
    if cycle is None or budget_usd is None:
        raise ConfigError("--authorize-cycle N and --budget USD must be used together")
    if not math.isfinite(budget_usd):
        raise ConfigError(
            f"--budget {budget_usd} is not an amount; give the most that the cycle may cost in USD"
        )
    return Authorization(cycle, Decimal(str(budget_usd)), by)
