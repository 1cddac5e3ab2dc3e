"""Phase 2 on the command line: poll, watch, status, logs; recordings too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.options import (
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
    print_lines,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE, PollCall, run_poll
from fmon.cli.stderr import say
from fmon.clock import Clock
from fmon.model import MAX_CONDITIONS

if TYPE_CHECKING:
    from fmon.monitor.poll import Polled
    from fmon.monitor.status import Status


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


def watch(
    experiment: Experiment = None,
    *,
    interval: Interval = 60,
    exit_status: ExitStatus = False,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Poll until no job is open, with a live table; Ctrl-C leaves a valid store."""
    from fmon.cli.cancel import act
    from fmon.monitor.poll import watch as watch_phase
    from fmon.sky.logs import open_logs
    from fmon.sky.queue import open_queue
    from fmon.store.folder import find
    from fmon.terminal.interrupt import Interrupts
    from fmon.terminal.watch import WatchScreen

    found = find(data, experiment).experiment_id
    try:
        with Interrupts() as ctrl_c, WatchScreen() as screen:
            for polled in watch_phase(
                data,
                open_queue(queue),
                found,
                interval_s=interval,
                clock=Clock(sleep=ctrl_c.sleep),
                logs=open_logs(queue),
            ):
                status, note = current_status(data, found), _note(polled)
                if (
                    queue == DEFAULT_QUEUE
                    and status.has_fired
                    and (acted := act(data, found, clock=Clock(sleep=ctrl_c.sleep)))
                ):
                    status, note = current_status(data, found), acted
                screen.show(status, note=note)
                if status.open_count == 0:
                    break
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    exit_with(status, wanted=exit_status)


def status(
    experiment: Experiment = None,
    *,
    exit_status: ExitStatus = False,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Show alarms, progress and every condition as of the last poll."""
    from fmon.terminal.status import print_status

    seen = current_status(data, experiment)
    print_status(seen, output)
    exit_with(seen, wanted=exit_status)


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
    from fmon.monitor.show_log import logs as logs_phase
    from fmon.sky.logs import open_logs
    from fmon.text import visible

    found = logs_phase(data, experiment, condition_or_job, open_logs(queue), controller=controller)
    say(found.sentence())
    print_lines(visible(line) for line in found.text.removesuffix("\n").split("\n"))


def record(
    config: Config,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the recording; one that exists is resumed.")],
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    queue: Queue = DEFAULT_QUEUE,
) -> None:
    """Record the queue of a running experiment until its jobs have ended, logs included, secrets redacted."""
    from fmon.monitor.record import record as record_phase
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
                clock=Clock(sleep=ctrl_c.sleep),
                logs=open_logs(queue),
                max_conditions=max_conditions,
            ):
                say(sentence)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    print_lines([str(out)])


def replay(
    recording: Annotated[Path, typer.Argument(help="Folder of the recording.", show_default=False)],
    *,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Run every poll of a recording through the code of a live one, with the recorded clock."""
    from fmon.monitor.replay import replay as replay_phase

    replayed = replay_phase(recording, data, max_conditions=max_conditions)
    say(*replayed.sentences())
    print_lines([replayed.experiment_id])


def current_status(data: Path, experiment: str | None) -> Status:
    """Return the status of an experiment as of its last poll."""
    from fmon.monitor.status import QUERIES
    from fmon.monitor.status import status as status_phase
    from fmon.store.folder import find
    from fmon.warehouse import connect

    return status_phase(connect(data, find(data, experiment).experiment_id, queries=QUERIES))


def _note(polled: Polled) -> str | None:
    """Say in one line what a poll could not do."""
    if polled.is_skipped:
        return "another poll is under way; shown is what the store holds"
    return "; ".join([str(error) for error in (polled.error, *polled.faults.values()) if error]) or None


def exit_with(seen: Status, *, wanted: bool) -> None:
    """Exit with the code of ``--exit-status`` where it is wanted."""
    from fmon.monitor.status import exit_status

    if wanted:
        raise typer.Exit(exit_status(seen))
