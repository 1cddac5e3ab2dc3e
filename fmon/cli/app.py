"""All commands, and their order in ``fmon --help``.

stdout is for data, stderr for messages. Every command imports what it needs when it runs, so that
``fmon --help`` and a poll with nothing to do load no more than Typer.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fmon.cli import cancel, diagnose, fix, init, launch, monitor, query, relaunch, report, run
from fmon.cli.stderr import say


class PanelOrder(TyperGroup):
    """List commands by their panel: Typer lists groups, such as ``fix``, after all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands by phase, in the order of the phases."""
        return sorted(super().list_commands(ctx), key=self._panel)

    def _panel(self, name: str) -> str:
        return str(getattr(self.commands[name], "rich_help_panel", ""))


app = typer.Typer(
    name="fmon",
    cls=PanelOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(value: bool) -> None:  # noqa: FBT001 - the form of Typer's callbacks
    """Print the version and exit."""
    if value:
        from fmon import __version__

        print(f"fmon {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def prepare(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version),
    ] = False,
) -> None:
    """Monitor factorial experiments that run as SkyPilot managed jobs."""
    import warnings

    from fmon.store.lean import import_pyarrow_alone

    import_pyarrow_alone()
    warnings.showwarning = lambda message, *_: say(f"warning: {message}")


# --help lists the phases in the order in which they are registered here.
app.command(rich_help_panel="Phase 1: launch")(init.init)
app.command(rich_help_panel="Phase 1: launch")(launch.plan)
app.command(rich_help_panel="Phase 1: launch")(launch.launch)
app.command(rich_help_panel="Phase 1: launch")(run.run)
app.command(rich_help_panel="Phase 1: launch")(launch.adopt)
app.command(rich_help_panel="Phase 2: monitor")(monitor.poll)
app.command(rich_help_panel="Phase 2: monitor")(monitor.watch)
app.command(rich_help_panel="Phase 2: monitor")(monitor.status)
app.command(rich_help_panel="Phase 2: monitor")(monitor.logs)
app.command(rich_help_panel="Phase 2: monitor")(cancel.cancel)
app.command(rich_help_panel="Phase 3: diagnose")(diagnose.diagnose)
app.add_typer(fix.app, name="fix", rich_help_panel="Phase 4: fix")
app.command(rich_help_panel="Phase 5: relaunch")(relaunch.relaunch)
app.command(rich_help_panel="Phase 6: report")(report.report)
app.command(rich_help_panel="Phase 6: report")(report.audit)
app.command(rich_help_panel="Phase 6: report")(report.compare)
app.command(rich_help_panel="Phase 6: report")(report.issues)
app.command(rich_help_panel="Recordings")(monitor.record)
app.command(rich_help_panel="Recordings")(monitor.replay)
app.command(rich_help_panel="Views")(query.sql)
app.command(rich_help_panel="Views")(query.views)
