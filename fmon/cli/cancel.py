"""``fmon cancel``, and how ``fmon watch`` and ``fmon run`` act on the kill switch."""

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
from fmon.cli.outside import outside
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.stderr import say
from fmon.errors import ConfigError, FmonError
from fmon.text import counted

if TYPE_CHECKING:
    from fmon.cancel.cancel import Cancelled, CancelRequest
    from fmon.cancel.close_lost import Lost
    from fmon.clock import Clock
    from fmon.study import Study

TARGETS = ("condition_id", "job_id", "status", "reason")
LOST = ("condition_id", "job_id", "status", "last_seen_at")
"""Columns of what is printed."""


def cancel(
    selections: Selection = None,
    *,
    experiment: ExperimentOption = None,
    kill_switch: Annotated[
        bool, typer.Option("--kill-switch", help="Cancel the jobs that the kill switch proposes.")
    ] = False,
    lost: Annotated[
        bool,
        typer.Option("--lost", help="Close lost jobs instead, once you have checked that they have ended."),
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

    named = tuple(selections or ())
    refuse_unclear(named, is_kill_switch=kill_switch)
    how = _How(dry_run=dry_run, yes=yes, output=output)
    person, study = by or user(), open_study(data, experiment)
    if lost:
        _close(study, named, by=person, reason=(reason or "").strip(), how=how)
    elif reason is not None:
        raise ConfigError("--reason goes with --lost")
    else:
        _cancel(study, CancelRequest(selections=named, by=person), how)


class _How(NamedTuple):
    """Flags that cancelling and closing share."""

    dry_run: bool
    yes: bool
    output: str


def act(data: Path, experiment: str, *, clock: Clock) -> str | None:
    """Cancel what the kill switch proposes, where the config says so; return what happened in a line.

    Parameters
    ----------
    data, experiment
        data directory; the experiment's id
    clock
        the clock
    """
    from fmon.cancel.cancel import CancelRequest, is_to_act
    from fmon.study import open_study

    study = open_study(data, experiment)
    if not is_to_act(study, now=clock.now()):
        return None
    try:
        done = _act(study, CancelRequest(by="fmon watch"), clock=clock)
    except FmonError as fault:
        return f"the kill switch could not act, the next poll tries again: {fault}"
    return "the kill switch acted: " + "; ".join([*done.sentences(), *filter(None, [_text(done.fault())])])


def _cancel(study: Study, request: CancelRequest, how: _How) -> None:
    from fmon.cancel.cancel import proposed

    if not how.yes or how.dry_run:
        proposal = proposed(study, request, now=now())
        if how.dry_run or not proposal.targets:
            _print_cancelled(proposal, how.output)
            return
        _show(TARGETS, [target._asdict() for target in proposal.targets], proposal.sentences())
        count = counted(len(proposal.targets), "job")
        require_consent(f"Cancel {count}?", verb="cancel", participle="cancelled")
    try:
        done = _act(study, request, clock=outside().clock)
    except KeyboardInterrupt:
        say("interrupted; SkyPilot goes on with the jobs that it was asked to cancel")
        raise typer.Exit(INTERRUPTED) from None
    _print_cancelled(done, how.output)


def _act(study: Study, request: CancelRequest, *, clock: Clock) -> Cancelled:
    from fmon.cancel.cancel import cancel as cancel_phase

    with closing(outside().open_submitter()) as submitter:
        return cancel_phase(study, request, submitter, outside().open_queue("sky"), clock=clock)


def _close(study: Study, named: tuple[str, ...], *, by: str, reason: str, how: _How) -> None:
    from msgspec.structs import asdict

    from fmon.cancel.close_lost import close_lost, lost

    if not named:
        raise ConfigError("--lost needs a selection, such as state=lost; fmon status lists the conditions")
    found = lost(study, named, now=now())
    if not how.dry_run and found.rows:
        if not reason:
            raise ConfigError("--lost needs --reason TEXT: the evidence that the job has ended")
        if not how.yes:
            _show(LOST, [asdict(row) for row in found.rows], found.sentences())
            count = counted(len(found.rows), "lost job")
            require_consent(f"Close {count}?", verb="close", participle="closed")
        found = close_lost(study, named, by=by, reason=reason, now=now())
    _print_lost(found, how.output)


def _show(columns: tuple[str, ...], rows: list[dict[str, Any]], sentences: list[str]) -> None:
    """Show on stderr what would be done: stdout has what was."""
    from fmon.terminal.rows import print_rows

    with redirect_stdout(sys.stderr):
        print_rows(columns, rows, Output.table)
    say(*sentences)


def _print_cancelled(done: Cancelled, output: str) -> None:
    """Print the jobs, then fail for those that are left."""
    from fmon.terminal.rows import print_rows

    print_rows(TARGETS, [target._asdict() for target in done.targets], output)
    say(*done.sentences())
    if fault := done.fault():
        raise fault


def _print_lost(done: Lost, output: str) -> None:
    from msgspec.structs import asdict

    from fmon.terminal.rows import print_rows

    print_rows(LOST, [asdict(row) for row in done.rows], output)
    say(*done.sentences())


def _text(fault: Exception | None) -> str | None:
    return None if fault is None else str(fault)
