"""Launch jobs, and keep submitting queued conditions while watching."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import typer

from fmon.cli.ask import confirming, require_consent
from fmon.cli.monitor import run_watch
from fmon.cli.options import INTERRUPTED, print_lines
from fmon.cli.services import services
from fmon.cli.stderr import say
from fmon.model import MAX_CONDITIONS
from fmon.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.launch.arguments import LaunchOptions
    from fmon.launch.outcome import Launched
    from fmon.launch.rounds import Rounds, Submit
    from fmon.monitor.status import Status


@dataclass(frozen=True, kw_only=True)
class LaunchCall:
    """The arguments of a command that launches; for the flags see ``LaunchOptions``."""

    config: Path
    data: Path
    by: str
    yes: bool
    task: Path | None = None
    env_file: Path | None = None
    is_dry: bool = False
    over_budget: bool = False
    allow_bare_vm: bool = False
    max_conditions: int = MAX_CONDITIONS

    @property
    def options(self) -> LaunchOptions:
        """The options that do not depend on a confirmation."""
        from fmon.launch.arguments import LaunchOptions

        return LaunchOptions(
            by=self.by,
            task=self.task,
            env_file=self.env_file,
            allow_bare_vm=self.allow_bare_vm,
            is_over_budget_allowed=self.over_budget,
        )


class Watched(NamedTuple):
    """An experiment at the end of a watch, and the launches meanwhile."""

    seen: Status
    rounds: Rounds

    def require_all(self, command: str) -> None:
        """Raise an error if conditions have no job."""
        missing = [row.condition_id for row in self.seen.rows if row.state == "missing"]
        self.rounds.require_all(command, missing)


def run_launch(call: LaunchCall) -> Launched:
    """Launch and print what was done; the caller raises the error about what could not be launched."""
    from fmon.launch.dry_run import dry_run
    from fmon.launch.launch import launch
    from fmon.terminal.launch import LaunchBar, shown

    printed: list[str] = []

    def agree(preview: Launched) -> bool:
        printed.extend(preview.sentences())
        say(*shown(preview.lines()), *printed)
        require_consent(
            f"Launch {counted(len(preview.commands), 'job')}?", verb="launch", participle="launched"
        )
        return True

    options = replace(call.options, agree=None if call.yes else agree, confirm=confirming(yes=call.yes))
    try:
        with LaunchBar() as bar:
            launched = (dry_run if call.is_dry else launch)(
                call.config,
                call.data,
                services().dependencies(queue="sky", progress=bar.show),
                options,
                max_conditions=call.max_conditions,
            )
    except KeyboardInterrupt:
        say("interrupted; run the command again to resume, nothing is launched twice")
        raise typer.Exit(INTERRUPTED) from None
    say(*(sentence for sentence in launched.sentences() if sentence not in printed))
    print_lines(launched.lines())
    return launched


def launch_and_watch(call: LaunchCall, *, interval: float) -> Watched:
    """Launch, then watch and submit what is queued; while another fmon launches, only watch."""
    from fmon.launch.dispatch import AnotherLauncher
    from fmon.launch.experiments import newest_of
    from fmon.launch.rounds import Rounds

    try:
        launched = run_launch(call)
    except AnotherLauncher:
        found = newest_of(call.data, call.config, call.task, max_conditions=call.max_conditions)
        if found is None:
            raise
        say(f"{found}: another fmon is launching its jobs; watching")
        print_lines([found])
        rounds = Rounds(submit=_next_round(call, found, None), clock=services().clock)
    else:
        found = launched.experiment_id
        rounds = Rounds(
            submit=_next_round(call, found, launched),
            clock=services().clock,
            outcome=launched.dispatched,
            limits=launched.limits,
        )
    return Watched(run_watch(call.data, found, interval=interval, rounds=rounds), rounds)


def _next_round(call: LaunchCall, experiment_id: str, launched: Launched | None) -> Submit:
    """Return the function that launches what is queued, without asking anybody."""
    from fmon.launch.launch import launch

    options = replace(call.options, resume=experiment_id, accepted=launched.accepted if launched else None)

    def submit(leave_out: frozenset[str]) -> Launched:
        return launch(
            call.config,
            call.data,
            services().dependencies(queue="sky", progress=lambda settled, total: None),
            replace(options, leave_out=leave_out),
            max_conditions=call.max_conditions,
        )

    return submit
