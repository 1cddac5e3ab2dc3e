"""``fmon cancel``, and how ``fmon watch`` and ``fmon run`` carry out the kill switch."""

from __future__ import annotations

import sys
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fmon.cli.ask import require_consent
from fmon.cli.options import (
    INTERRUPTED,
    By,
    Data,
    DryRun,
    ExperimentOption,
    Output,
    Rows,
    Selection,
    Yes,
    now,
    user,
)
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.services import services
from fmon.cli.stderr import say
from fmon.errors import ConfigError, FmonError, QueueError
from fmon.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fmon.cancel.cancel import Cancelled, CancelRequest, Target
    from fmon.cancel.close_lost import Lost, LostJob
    from fmon.clock import Clock
    from fmon.study import Study

TARGETS = ("condition_id", "job_id", "status", "reason")
LOST = ("condition_id", "job_id", "status", "last_seen_at")
"""Columns of the output."""


def cancel(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    kill_switch: Annotated[
        bool, typer.Option("--kill-switch", help="Cancel the jobs that the kill switch proposes.")
    ] = False,
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="Close lost jobs (default: all) that you have checked to have ended.",
        ),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", metavar="TEXT", help="Evidence that the lost job has ended.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    by: By = None,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Cancel jobs and wait until they have ended."""
    from fmon.cancel.cancel import CancelRequest
    from fmon.cancel.targets import refuse_unclear
    from fmon.study import open_study

    words = tuple(selections or ())
    if lost and kill_switch:
        raise ConfigError("--lost closes jobs, --kill-switch cancels them: use only one of them")
    if not lost:
        refuse_unclear(words, is_kill_switch=kill_switch)
    flags = _Flags(dry_run=dry_run, yes=yes, output=output)
    person, study = by or user(), open_study(data, experiment)
    if lost:
        _close(study, words, by=person, reason=(reason or "").strip(), flags=flags)
    elif reason is not None:
        raise ConfigError("--reason can only be used with --lost")
    else:
        _cancel(study, CancelRequest(selections=words, by=person), flags)


class _Flags(NamedTuple):
    """Flags that cancelling and closing share."""

    dry_run: bool
    yes: bool
    output: str


def act(data: Path, experiment: str, *, clock: Clock) -> str | None:
    """Cancel what the kill switch proposes, if the config says so; return what happened in one line.

    Parameters
    ----------
    data, experiment
        Data directory; id of the experiment.
    clock
        The clock.
    """
    from fmon.cancel.cancel import CancelRequest, is_to_act
    from fmon.study import open_study

    study = open_study(data, experiment)
    if not is_to_act(study, now=clock.now()):
        return None
    try:
        done = _act(study, CancelRequest(by="fmon watch"), clock=clock)
    except FmonError as fault:
        return f"the kill switch could not act; the next poll tries again: {fault}"
    return "the kill switch acted: " + "; ".join([*done.sentences(), *filter(None, [_text(done.fault())])])


def _cancel(study: Study, request: CancelRequest, flags: _Flags) -> None:
    from fmon.cancel.cancel import proposed

    if not flags.yes or flags.dry_run:
        study = _as_of_now(study, is_needed=not flags.dry_run)
        proposal = proposed(study, request, now=now())
        if flags.dry_run or not proposal.targets:
            _print_cancelled(proposal, flags.output)
            return
        _show(TARGETS, _rows(TARGETS, proposal.targets), proposal.sentences())
        count = counted(len(proposal.targets), "job")
        require_consent(f"Cancel {count}?", verb="cancel", participle="cancelled")
    try:
        say("asking SkyPilot to cancel; it takes up to a minute per job")
        done = _act(study, request, clock=services().clock, progress=say)
    except KeyboardInterrupt:
        say("interrupted; SkyPilot still cancels the jobs that it was asked to cancel")
        raise typer.Exit(INTERRUPTED) from None
    _print_cancelled(done, flags.output)


def _as_of_now(study: Study, *, is_needed: bool) -> Study:
    """Poll first: a job that ended may run again. If no answer is needed, what is stored will do."""
    from fmon.monitor.poll import poll_one
    from fmon.study import Study

    if study.manifest.is_replay:
        return study
    try:
        poll_one(study.store, services().open_queue("sky"), clock=services().clock)
    except QueueError as fault:
        if is_needed:
            raise
        say(f"as of the last poll: {fault}")
    return Study(study.store)


def _act(
    study: Study, request: CancelRequest, *, clock: Clock, progress: Callable[[str], None] = lambda _: None
) -> Cancelled:
    from fmon.cancel.cancel import cancel as cancel_phase

    with closing(services().open_submitter()) as submitter:
        return cancel_phase(
            study, request, submitter, services().open_queue("sky"), clock=clock, progress=progress
        )


def _close(study: Study, selections: tuple[str, ...], *, by: str, reason: str, flags: _Flags) -> None:
    from fmon.cancel.close_lost import close_lost, is_from_file, lost

    if not is_from_file(study):
        study = _as_of_now(study, is_needed=False)  # a job that was lost may be back
    found = lost(study, selections, now=now())
    if not flags.dry_run and found.rows:
        if not reason:
            raise ConfigError("--lost needs --reason TEXT: the evidence that the job has ended")
        if not flags.yes:
            _show(LOST, _rows(LOST, found.rows), found.sentences())
            count = counted(len(found.rows), "lost job")
            require_consent(f"Close {count}?", verb="close", participle="closed")
        found = close_lost(study, selections, by=by, reason=reason, now=now())
    _print_lost(found, flags.output)


def _rows(columns: tuple[str, ...], jobs: Iterable[Target | LostJob]) -> list[dict[str, Any]]:
    """Return what the output has about each job."""
    return [{name: getattr(job, name) for name in columns} for job in jobs]


def _show(columns: tuple[str, ...], rows: list[dict[str, Any]], sentences: list[str]) -> None:
    """Show on stderr what would be done; stdout is for what was done."""
    from fmon.terminal.rows import print_rows

    with redirect_stdout(sys.stderr):
        print_rows(columns, rows, Output.table)
    say(*sentences)


def _print_cancelled(done: Cancelled, output: str) -> None:
    """Print the jobs, then raise the error about those that have not ended."""
    from fmon.terminal.rows import print_rows

    print_rows(TARGETS, _rows(TARGETS, done.targets), output)
    say(*done.sentences())
    if fault := done.fault():
        raise fault


def _print_lost(done: Lost, output: str) -> None:
    from fmon.terminal.rows import print_rows

    print_rows(LOST, _rows(LOST, done.rows), output)
    say(*done.sentences())


def _text(fault: Exception | None) -> str | None:
    return None if fault is None else str(fault)
