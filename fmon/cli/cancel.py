"""``fmon cancel``, and how ``fmon watch`` and ``fmon run`` act on the kill-switch."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fmon.cli.options import INTERRUPTED, Data, Output, Rows, now, user
from fmon.cli.poll import DEFAULT_DATA
from fmon.cli.stderr import say
from fmon.clock import Clock
from fmon.errors import ConfigError, FmonError

if TYPE_CHECKING:
    from fmon.cancel.cancel import Cancelled, CancelRequest
    from fmon.cancel.close_lost import Lost
    from fmon.study import Study


def cancel(
    selections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONDITION_OR_LEVEL...",
            help="Conditions, or factor=level: factors narrow each other.",
            show_default=False,
        ),
    ] = None,
    *,
    kill_switch: Annotated[
        bool, typer.Option("--kill-switch", help="The jobs that the kill-switch proposes.")
    ] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="Close what the queue has lost, after you have looked.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="With --lost: evidence that the job has ended.", show_default=False)
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Your name, for the audit; default: the user.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Cancel the jobs (default: only show them).")] = False,
    experiment: Annotated[
        str | None,
        typer.Option(help="Experiment id or unique prefix; default: the newest.", show_default=False),
    ] = None,
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Cancel jobs and look until they are gone; without --yes only show which, and why."""
    from fmon.cancel.cancel import CancelRequest
    from fmon.cancel.targets import refuse_unclear
    from fmon.study import open_study

    named = tuple(selections or ())
    refuse_unclear(named, is_kill_switch=kill_switch)
    person, study = by or user(), open_study(data, experiment)
    if lost:
        _print_lost(_close(study, named, by=person, reason=reason, yes=yes), output)
        return
    if reason is not None:
        raise ConfigError("--reason goes with --lost")
    _print_cancelled(_cancel(study, CancelRequest(selections=named, by=person), yes=yes), output)


def act(data: Path, experiment: str, *, clock: Clock) -> str | None:
    """Cancel what the kill-switch proposes, where the config says so; give what happened in a line.

    Parameters
    ----------
    data, experiment : data directory; the experiment's id
    clock : the clock
    """
    from fmon.cancel.cancel import CancelRequest, is_to_act
    from fmon.study import open_study

    study = open_study(data, experiment)
    if not is_to_act(study, now=clock.now()):
        return None
    try:
        done = _act(study, CancelRequest(by="fmon watch"), clock=clock)
    except FmonError as fault:
        return f"the kill-switch could not act, the next poll tries again: {fault}"
    return "the kill-switch acted: " + "; ".join([*done.sentences(), *filter(None, [_text(done.fault())])])


def _cancel(study: Study, request: CancelRequest, *, yes: bool) -> Cancelled:
    from fmon.cancel.cancel import proposed

    if not yes:
        return proposed(study, request, now=now())
    try:
        return _act(study, request, clock=Clock())
    except KeyboardInterrupt:
        say("interrupted; what SkyPilot was asked to cancel is on its way")
        raise typer.Exit(INTERRUPTED) from None


def _act(study: Study, request: CancelRequest, *, clock: Clock) -> Cancelled:
    from fmon.cancel.cancel import cancel as cancel_phase
    from fmon.sky.queue import open_queue
    from fmon.sky.submit.sdk import SdkSubmitter

    with closing(SdkSubmitter()) as submitter:
        return cancel_phase(study, request, submitter, open_queue("sky"), clock=clock)


def _close(study: Study, named: tuple[str, ...], *, by: str, reason: str | None, yes: bool) -> Lost:
    from fmon.cancel.close_lost import close_lost
    from fmon.cancel.close_lost import lost as lost_phase

    if not named:
        raise ConfigError("--lost needs the conditions that you have looked for; fmon status lists them")
    if not yes:
        return lost_phase(study, named, now=now())
    if not (reason or "").strip():
        raise ConfigError("--lost needs --reason TEXT: evidence that the job has ended")
    return close_lost(study, named, by=by, reason=reason or "", now=now())


def _print_cancelled(done: Cancelled, output: str) -> None:
    """Print the jobs, then fail for what is left."""
    from fmon.terminal.rows import print_rows

    columns = ("condition_id", "job_id", "status", "reason")
    print_rows(columns, [target._asdict() for target in done.targets], output)
    say(*done.sentences())
    if fault := done.fault():
        raise fault


def _print_lost(done: Lost, output: str) -> None:
    from fmon.terminal.rows import print_rows

    print_rows(("condition_id", "job_id", "status", "last_seen_at"), done.rows, output)
    say(*done.sentences())


def _text(fault: Exception | None) -> str | None:
    return None if fault is None else str(fault)
