"""The command line: parse, call one phase, print (floor 7).

stdout is data, stderr is words. Every command imports what it needs when it runs, so that
``fmon --help`` and a poll with nothing to do cost no more than Typer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from fmon.commands import analysis, cancelling, fix, outside, relaunching
from fmon.commands.options import (
    INTERRUPTED,
    Config,
    Data,
    ExitStatus,
    Experiment,
    ExperimentOption,
    Interval,
    MaxConditions,
    Output,
    Queue,
    Rows,
    now,
    print_lines,
)
from fmon.polling import DEFAULT_DATA, DEFAULT_QUEUE, PollCall, refuse_bad, run_poll, say

if TYPE_CHECKING:
    from fmon.phases.monitor import Polled
    from fmon.phases.status import Status


class InOrder(TyperGroup):
    """Lists commands by their panel: Typer lists groups, as ``fix``, behind all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands, those of a phase together and in the order of the phases."""
        return sorted(super().list_commands(ctx), key=self._panel)

    def _panel(self, name: str) -> str:
        return str(getattr(self.commands[name], "rich_help_panel", ""))


app = typer.Typer(
    name="fmon",
    cls=InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def prepare() -> None:
    """Monitor factorial experiments that run as SkyPilot managed jobs."""
    import warnings

    from fmon.store.lean import import_pyarrow_alone

    import_pyarrow_alone()
    warnings.showwarning = lambda message, *_: say(f"warning: {message}")


@app.command(rich_help_panel="Phase 1: launch")
def plan(config: Config, *, max_conditions: MaxConditions = 100_000, output: Rows = Output.table) -> None:
    """Print the grid, its counts, checks and estimated cost; changes nothing."""
    from fmon.phases.plan import plan as plan_phase
    from fmon.terminal import print_plan

    print_plan(plan_phase(config, max_conditions=max_conditions), output)


@app.command(rich_help_panel="Phase 1: launch")
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
    max_conditions: MaxConditions = 100_000,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch one managed job per condition, exactly once; called again it resumes."""
    from fmon.commands.launching import run_launch

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


@app.command(rich_help_panel="Phase 1: launch")
def run(
    config: Config,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Launch even if the estimate exceeds the budget.")
    ] = False,
    allow_bare_vm: Annotated[
        bool, typer.Option("--allow-bare-vm", help="Launch without a container image; the audit records it.")
    ] = False,
    interval: Interval = 60,
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    output: Rows = Output.json,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Launch, watch, diagnose and report, unattended; exits as --exit-status, never fixes or runs again."""
    import sys
    from contextlib import redirect_stdout

    from fmon.commands.launching import run_launch
    from fmon.commands.running import conclude, print_conclusion

    with redirect_stdout(sys.stderr):  # stdout is the conclusion
        launched = run_launch(
            config,
            data,
            is_dry=False,
            yes=yes,
            allow_bare_vm=allow_bare_vm,
            max_conditions=100_000,
        )
        if launched.dispatched.error is not None:
            launched.dispatched.require_all(f"fmon run {config}")
        watch(launched.experiment_id, interval=interval, queue="sky", data=data)
        seen = _status(data, launched.experiment_id)
        told = conclude(data, seen, out)
    print_conclusion(told, output)
    _exit_with(seen, wanted=True)


@app.command(rich_help_panel="Phase 1: launch")
def adopt(
    config: Config,
    *,
    since: Annotated[
        datetime | None,
        typer.Option(help="Leave out jobs submitted before this time (UTC).", show_default=False),
    ] = None,
    max_conditions: MaxConditions = 100_000,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Watch jobs that already run: match their names to the config's conditions."""
    from fmon.phases.adopt import adopt as adopt_phase
    from fmon.sky.queue import open_queue

    since = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
    adopted = adopt_phase(
        config, open_queue(queue), data, since=since, now=now(), max_conditions=max_conditions
    )
    say(*adopted.sentences())
    print_lines([adopted.experiment_id])
    refuse_bad(adopted.bad)


@app.command(rich_help_panel="Phase 2: monitor")
def poll(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Experiments; default: all open ones.", show_default=False)
    ] = None,
    *,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Look at the queue once and store what changed; for cron, read-only towards SkyPilot."""
    run_poll(PollCall(experiments or [], str(data), queue))


@app.command(rich_help_panel="Phase 2: monitor")
def watch(
    experiment: Experiment = None,
    *,
    interval: Interval = 60,
    exit_status: ExitStatus = False,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Poll until no job is open, with a live table; Ctrl-C leaves a valid store."""
    from fmon.commands.cancelling import act
    from fmon.phases.monitor import watch as watch_phase
    from fmon.sky.logs import open_logs
    from fmon.sky.queue import open_queue
    from fmon.store.folder import find
    from fmon.terminal import WatchScreen
    from fmon.terminal.interrupt import Interrupts

    found = find(data, experiment).experiment_id
    try:
        with Interrupts() as ctrl_c, WatchScreen() as screen:
            for polled in watch_phase(
                data,
                open_queue(queue),
                found,
                interval_s=interval,
                clock=now,
                sleep=ctrl_c.sleep,
                logs=open_logs(queue),
            ):
                status, note = _status(data, found), _note(polled)
                if (
                    queue == DEFAULT_QUEUE
                    and status.has_fired
                    and (acted := act(data, found, sleep=ctrl_c.sleep))
                ):
                    status, note = _status(data, found), acted
                screen.show(status, note=note)
                if status.open_count == 0:
                    break
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    _exit_with(status, wanted=exit_status)


@app.command(rich_help_panel="Phase 2: monitor")
def status(
    experiment: Experiment = None,
    *,
    exit_status: ExitStatus = False,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Show alarms, progress and every condition as of the last poll."""
    from fmon.terminal import print_status

    seen = _status(data, experiment)
    print_status(seen, output)
    _exit_with(seen, wanted=exit_status)


@app.command(rich_help_panel="Phase 2: monitor")
def logs(
    condition_or_job: Annotated[
        str, typer.Argument(help="A condition (its newest job) or a job id.", show_default=False)
    ],
    *,
    experiment: ExperimentOption = None,
    controller: Annotated[
        bool, typer.Option("--controller", help="The log of its controller: provisioning and recovery.")
    ] = False,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Print a job's log (stored, otherwise live)."""
    from fmon.phases.logs import logs as logs_phase
    from fmon.sky.logs import open_logs
    from fmon.terminal import visible

    found = logs_phase(data, experiment, condition_or_job, open_logs(queue), controller=controller)
    say(found.sentence())
    print_lines(visible(line) for line in found.text.removesuffix("\n").split("\n"))


# Here, and not below, for --help lists the phases in the order in which they are registered.
app.command(rich_help_panel="Phase 2: monitor")(cancelling.cancel)
app.command(rich_help_panel="Phase 3: diagnose")(fix.diagnose)
app.add_typer(fix.app, name="fix", rich_help_panel="Phase 4: fix")
app.command(rich_help_panel="Phase 5: relaunch")(relaunching.relaunch)


@app.command(rich_help_panel="Phase 6: report")
def report(
    experiment: Experiment = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write the experiment's JSONL and its HTML page; print their paths."""
    from fmon.mlflow_runs import tracked_runs
    from fmon.phases.report import report as report_phase
    from fmon.sky.costs import reported_costs

    reported = report_phase(data, experiment, out, ask=reported_costs, track=tracked_runs)
    if reported.unreconciled:
        say(reported.unreconciled)
    if reported.untracked:
        say(reported.untracked)
    print_lines([str(reported.jsonl), str(reported.html)])


@app.command(rich_help_panel="Recordings")
def record(
    config: Config,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the recording; one that exists is resumed.")],
    interval: Interval = 60,
    queue: Queue = DEFAULT_QUEUE,
) -> None:
    """Record the queue of a running experiment until its jobs have ended, logs included, secrets redacted."""
    from fmon.phases.record import record as record_phase
    from fmon.sky.logs import open_logs
    from fmon.sky.queue import open_queue
    from fmon.terminal.interrupt import Interrupts

    try:
        with Interrupts() as ctrl_c:
            for sentence in record_phase(
                config,
                open_queue(queue),
                out,
                interval_s=interval,
                clock=now,
                sleep=ctrl_c.sleep,
                logs=open_logs(queue),
            ):
                say(sentence)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    print_lines([str(out)])


@app.command(rich_help_panel="Recordings")
def replay(
    recording: Annotated[Path, typer.Argument(help="Folder of the recording.", show_default=False)],
    *,
    max_conditions: MaxConditions = 100_000,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Run every poll of a recording through the code of a live one, with the recorded clock."""
    from fmon.phases.replay import replay as replay_phase

    replayed = replay_phase(recording, data, max_conditions=max_conditions)
    say(*replayed.sentences())
    print_lines([replayed.experiment_id])


app.command(rich_help_panel="Phase 6: report")(relaunching.audit)
app.command(rich_help_panel="Phase 6: report")(analysis.compare)
app.command(rich_help_panel="Phase 6: report")(outside.issues)
app.command(rich_help_panel="Views")(analysis.sql)
app.command(rich_help_panel="Views")(analysis.views)


def _status(data: Path, experiment: str | None) -> Status:
    from fmon.phases.status import VIEWS
    from fmon.phases.status import status as status_phase
    from fmon.store.folder import find
    from fmon.warehouse import connect

    return status_phase(connect(data, find(data, experiment).experiment_id, views=VIEWS))


def _note(polled: Polled) -> str | None:
    """Say in one line what a poll could not do."""
    if polled.is_skipped:
        return "another poll is under way; shown is what the store holds"
    return "; ".join([str(error) for error in (polled.error, *polled.faults.values()) if error]) or None


def _exit_with(seen: Status, *, wanted: bool) -> None:
    from fmon.phases.status import exit_status

    if wanted:
        raise typer.Exit(exit_status(seen))
