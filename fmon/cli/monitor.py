"""Phase 2 on the command line: ``fmon poll``, ``watch``, ``status``, ``logs``, ``record`` and ``replay``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fmon.cli.complete import complete_experiment, complete_selection
from fmon.cli.options import (
    INTERRUPTED,
    Config,
    Data,
    ExitStatus,
    ExperimentOption,
    ExperimentOptions,
    Interval,
    MaxConditions,
    Output,
    Queue,
    Rows,
    Selection,
    now,
    print_lines,
    several_experiments,
)
from fmon.cli.poll import DEFAULT_DATA, DEFAULT_QUEUE, PollCall, replay_sentence, run_poll
from fmon.cli.services import services
from fmon.cli.stderr import say
from fmon.errors import ConfigError, QueueError
from fmon.model import MAX_CONDITIONS
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.launch.rounds import Rounds
    from fmon.monitor.poll import Polled
    from fmon.monitor.status import Status
    from fmon.store.folder import Store


LOST_POLLS = 2
"""Number of polls in a row that must show only lost jobs before a watch ends."""


def poll(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Experiments to poll (default: all open ones).",
            show_default=False,
            autocompletion=complete_experiment,
        ),
    ] = None,
    *,
    experiment: ExperimentOptions = None,
    new_server: Annotated[
        bool,
        typer.Option(
            "--new-server",
            help="Accept the API server that answers as the replacement of the experiments' previous one.",
        ),
    ] = False,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Poll the queue once and store the changes, for example from cron; never changes SkyPilot."""
    run_poll(PollCall(several_experiments(experiments, experiment), str(data), queue, new_server))


def watch(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    interval: Interval = 60,
    exit_status: ExitStatus = False,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Poll until no job is open, with a live table of the selected conditions."""
    from fmon.store.folder import find

    found = find(data, experiment).experiment_id
    seen = run_watch(data, found, selections=selections or (), interval=interval, queue=queue)
    if exit_status:
        exit_with(seen)


def run_watch(
    data: Path,
    experiment: str,
    *,
    interval: float,
    selections: Sequence[str] = (),
    queue: str = DEFAULT_QUEUE,
    rounds: Rounds | None = None,
) -> Status:
    """Poll until no job is open and none will be submitted, and return the last status.

    Parameters
    ----------
    data, experiment
        Data directory; id of the experiment.
    interval
        Time between two polls [s].
    selections
        Conditions to show; none = all.
    queue
        The queue to read.
    rounds
        Submits conditions that have no job between the polls; None = nothing is ever submitted.
    """
    from fmon.cli.cancel import act
    from fmon.monitor.poll import watch as watch_phase
    from fmon.store.folder import find
    from fmon.terminal.interrupt import Interrupts
    from fmon.terminal.streams import NoReaderError, until_unread
    from fmon.terminal.watch import WatchScreen

    store, lost_polls = find(data, experiment), 0
    shown = partial(current_status, data, experiment, selections)
    try:
        with Interrupts(services().clock) as ctrl_c, WatchScreen() as screen:
            for polled in watch_phase(
                data,
                services().open_queue(queue),
                experiment,
                interval_s=interval,
                # Without a reader only the launching of queued jobs goes on.
                clock=until_unread(ctrl_c.clock) if rounds is None else ctrl_c.clock,
                logs=services().open_logs(queue),
            ):
                status, note = shown(), _note(polled)
                if (
                    queue == DEFAULT_QUEUE
                    and status.has_fired
                    and (acted := act(data, experiment, clock=ctrl_c.clock))
                ):
                    status, note = shown(), acted
                if (
                    rounds is not None
                    and not (polled.error or polled.faults)
                    and rounds.after_poll(status.queued, has_fired=status.has_fired)
                ):
                    status = shown()
                screen.show(status, note=_joined(note, _queued_note(status, rounds)))
                # A queue may be incomplete once: the next poll must show the same.
                lost_polls = lost_polls + 1 if status.has_only_lost else 0
                at = ctrl_c.clock.now()
                if (
                    polled.replays
                    or status.is_over(at)
                    or (lost_polls >= LOST_POLLS and not status.is_awaiting(at))
                ):
                    break
    except NoReaderError:
        pass
    except KeyboardInterrupt:
        _refresh(store)
        raise typer.Exit(INTERRUPTED) from None
    _refresh(store)
    if polled.replays:
        say(replay_sentence(experiment))
    elif status.has_only_lost:
        say(status.lost_sentence)
    return status


def _queued_note(seen: Status, rounds: Rounds | None) -> str | None:
    """Return what is not submitted, and what happens next; None = everything is."""
    if rounds is not None:
        return rounds.sentence(seen.queued)
    return seen.queued.sentence if seen.queued else None


def status(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    exit_status: ExitStatus = False,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Show alarms, progress and the selected conditions as of the last poll."""
    from fmon.terminal.status import print_status

    seen = current_status(data, experiment, selections or ())
    print_status(seen, output)
    if exit_status:
        exit_with(seen)


def logs(
    selections: Annotated[
        list[str],
        typer.Argument(
            metavar="CONDITION_OR_JOB",
            help="Condition ids (their newest jobs), job ids, factor=level, state=STATE or cause=ID.",
            show_default=False,
            autocompletion=complete_selection,
        ),
    ],
    *,
    experiment: ExperimentOption = None,
    controller: Annotated[
        bool,
        typer.Option("--controller", help="Print the controller's log instead: provisioning and recovery."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep printing what the job writes until it has ended.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", help="Print only the last N lines.", min=1)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="S",
            help=(
                "Stop reading a live log after S seconds (default: 60, with --follow no limit); exit 0, "
                "or 11 if nothing has arrived."
            ),
            min=1,
        ),
    ] = None,
    queue: Queue = DEFAULT_QUEUE,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Print a job's log (stored, otherwise live); with a header for each if there are several."""
    from fmon.monitor.live_log import Extent
    from fmon.monitor.show_log import chosen_jobs
    from fmon.monitor.show_log import logs as logs_phase
    from fmon.terminal.log import print_log

    extent = Extent(follow=follow, tail=tail, timeout_s=timeout)
    jobs = chosen_jobs(data, experiment, selections, now=now())
    if follow and len(jobs) > 1:
        raise ConfigError(f"--follow needs one job, but {' '.join(selections)} selects {listed(jobs)}")
    faults = []
    for each in jobs:
        try:
            found = logs_phase(
                data, experiment, each, services().open_logs(queue), controller=controller, extent=extent
            )
            say(found.sentence())
            name = f"{found.condition_id} (job {found.request.job_id})" if len(jobs) > 1 else None
            print_log(found.pieces(), name)
            say(*filter(None, [found.ending]))
        except QueueError as fault:
            faults.append(fault)
    if faults:
        say(*(f"fmon: {fault}" for fault in faults[1:]))
        raise faults[0]


def record(
    config: Config,
    *,
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out-dir",
            metavar="DIR",
            help="Directory for the recording; an existing recording is continued.",
        ),
    ],
    interval: Interval = 60,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    queue: Queue = DEFAULT_QUEUE,
) -> None:
    """Record a live queue and its logs until all jobs have ended; secrets are redacted."""
    from fmon.monitor.record import record as record_phase
    from fmon.terminal.interrupt import Interrupts

    try:
        with Interrupts(services().clock) as ctrl_c:
            for sentence in record_phase(
                config,
                services().open_queue(queue),
                out_dir,
                interval_s=interval,
                clock=ctrl_c.clock,
                logs=services().open_logs(queue),
                max_conditions=max_conditions,
            ):
                say(sentence)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    print_lines([str(out_dir)])


def replay(
    recording: Annotated[
        Path, typer.Argument(metavar="RECORDING", help="Directory of the recording.", show_default=False)
    ],
    *,
    max_conditions: MaxConditions = MAX_CONDITIONS,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Replay a recording through the code of live polls, at its recorded times."""
    from fmon.monitor.replay import replay as replay_phase

    replayed = replay_phase(recording, data, max_conditions=max_conditions)
    say(*replayed.sentences())
    print_lines([replayed.experiment_id])


def current_status(data: Path, experiment: str | None, selections: Sequence[str] = ()) -> Status:
    """Return the status of an experiment as of its last poll.

    Parameters
    ----------
    data, experiment
        Data directory; experiment id or unique prefix.
    selections
        Conditions to show; none = all. Alarms and progress are those of the entire experiment.
    """
    from fmon.monitor.queued import queued
    from fmon.monitor.status import QUERIES
    from fmon.monitor.status import status as status_phase
    from fmon.study import open_study
    from fmon.warehouse.selection import select_current

    study = open_study(data, experiment)
    seen = status_phase(study.connect(QUERIES))
    seen = replace(seen, queued=queued(study, seen.counts["missing"]))
    if not selections:
        return seen
    chosen = select_current(study, selections, now=now())
    return replace(seen, rows=[row for row in seen.rows if row.condition_id in chosen])


def _refresh(store: Store) -> None:
    """Copy the state at the end of the watch into the manifest, unless the poll that closed it did so."""
    from fmon.monitor.refresh import refresh

    if not store.is_closed:
        refresh(store, now=now())


def _note(polled: Polled) -> str | None:
    """Return in one line what a poll could not do; None = it did everything."""
    if polled.is_skipped:
        return "another poll is running; showing what is stored"
    notes = (polled.error, *polled.faults.values(), polled.left_over)
    return _joined(*[str(note) for note in notes if note])


def _joined(*notes: str | None) -> str | None:
    """Join notes; None = there is none."""
    return "; ".join(filter(None, notes)) or None


def exit_with(seen: Status) -> NoReturn:
    """Exit with the code of ``--exit-status``."""
    from fmon.monitor.status import exit_status

    raise typer.Exit(exit_status(seen))
