"""Phase 1 on the command line: ``fmon init``."""

from __future__ import annotations

from typing import Annotated

import typer

from fmon.cli.ask import confirming
from fmon.cli.options import Queue, Since, TaskArgument, utc
from fmon.cli.poll import DEFAULT_QUEUE
from fmon.cli.services import services
from fmon.cli.stderr import say


def init(
    task: TaskArgument = None,
    *,
    job: Annotated[
        int | None,
        typer.Option(
            "--job", help="A job of the experiment (default: the newest experiment).", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="PATTERN",
            help="Only jobs whose name matches, for example 'debug-*'.",
            show_default=False,
        ),
    ] = None,
    since: Since = None,
    queue: Queue = DEFAULT_QUEUE,
) -> None:
    """Print a config for jobs that already run, ready for fmon adopt, or a template from a task YAML."""
    from fmon.init.from_task import start_config
    from fmon.init.propose import propose_config

    if task is not None:
        typer.echo(start_config(task), nl=False)
        return
    proposal = propose_config(
        services().open_queue(queue),
        job_id=job,
        pattern=name,
        since=utc(since),
        ask=confirming(yes=False),
    )
    typer.echo(proposal.text, nl=False)
    say(*proposal.sentences)
