"""The options and arguments that commands share."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fmon.cli.poll import DATA_VARIABLE, QUEUE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT)."""


class Output(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"


Data = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="Data directory.")]
Queue = Annotated[
    str,
    typer.Option("--queue", envvar=QUEUE_VARIABLE, help="sky, file:PATH or file:- (JSON of sky jobs queue)."),
]
Rows = Annotated[Output, typer.Option("-o", "--output", help="How rows are printed.")]
Experiment = Annotated[
    str | None,
    typer.Argument(help="Experiment id or unique prefix; default: the newest.", show_default=False),
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        help="Experiment id or unique prefix; default: the newest.",
        show_default=False,
    ),
]
Config = Annotated[Path, typer.Argument(help="The experiment's config (YAML).", show_default=False)]
MaxConditions = Annotated[int, typer.Option("--max-conditions", help="Maximum number of conditions.", min=1)]
Interval = Annotated[float, typer.Option("--interval", help="Seconds between polls.", min=1)]
ExitStatus = Annotated[
    bool,
    typer.Option(
        "--exit-status",
        help="Exit 0: all succeeded, 3: open jobs, 4: ended otherwise, 5: open jobs and a kill-switch fired.",
    ),
]


def now() -> datetime:
    """Give the wall clock [UTC]."""
    return datetime.now(UTC)


def print_lines(lines: Iterable[Any]) -> None:
    """Print ids, paths and the like, one a line."""
    for line in lines:
        print(line)  # noqa: T201


def user() -> str:
    """Name who does it, for the audit."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a uid without a name, as in some containers
