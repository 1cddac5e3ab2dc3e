"""Commands that tell others: issues (floor 7)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fmon.commands.options import Data, Experiment, Output, Rows, now
from fmon.polling import DEFAULT_DATA


def issues(
    experiment: Experiment = None,
    *,
    create: Annotated[
        bool, typer.Option("--create", help="File them with gh, GitHub's command line; never twice.")
    ] = False,
    repo: Annotated[
        str | None,
        typer.Option(help="OWNER/NAME; default: what the current folder is a clone of.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    output: Rows = Output.table,
    data: Data = Path(DEFAULT_DATA),
) -> None:
    """Write an issue for each root cause that needs a person; --create files it."""
    from functools import partial

    from fmon.github import open_github
    from fmon.phases.issues import COLUMNS
    from fmon.phases.issues import issues as issues_phase
    from fmon.terminal import print_rows

    tracker = partial(open_github, repo) if create else None
    done: list[dict[str, Any]] = []
    try:
        done.extend(issues_phase(data, experiment, out, open_tracker=tracker, now=now()))
    finally:
        print_rows(COLUMNS, done, output)  # what was filed before a fault is said too
