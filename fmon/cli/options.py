"""The options and arguments that commands share, and the conventions they follow.

``-e`` names an experiment, ``-o`` a format, ``--out-dir`` a directory, ``--by`` a person. ``--yes`` means
"do not ask" and nothing else; ``--dry-run`` only shows. tests/cli/test_conventions.py checks every command.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fmon.cli.complete import complete_experiment, complete_selection
from fmon.cli.poll import DATA_VARIABLE, QUEUE_VARIABLE
from fmon.cli.services import services
from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells (128 + SIGINT)."""


class Output(StrEnum):
    """Output formats."""

    table = "table"
    json = "json"


EXPERIMENT_HELP = "Experiment id or unique prefix (default: the newest)."

Data = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="Data directory.")]
Queue = Annotated[
    str,
    typer.Option(
        "--queue",
        envvar=QUEUE_VARIABLE,
        help="Job queue to read: sky, file:PATH or file:- (the output of sky jobs queue -a -o json).",
    ),
]
Rows = Annotated[
    Output, typer.Option("-o", "--output", metavar="FORMAT", help="Output format: table or json.")
]
ExperimentArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT", help=EXPERIMENT_HELP, show_default=False, autocompletion=complete_experiment
    ),
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(
        "-e",
        "--experiment",
        metavar="EXPERIMENT",
        help=EXPERIMENT_HELP,
        show_default=False,
        autocompletion=complete_experiment,
    ),
]
ExperimentOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--experiment",
        metavar="EXPERIMENT",
        help="Experiment id or unique prefix; repeat for several.",
        show_default=False,
        autocompletion=complete_experiment,
    ),
]
Selection = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SELECTION",
        help="Condition ids, factor=level, state=STATE or cause=ID.",
        show_default=False,
        autocompletion=complete_selection,
    ),
]
Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="Config of the experiment (YAML).", show_default=False)
]
MaxConditions = Annotated[
    int, typer.Option("--max-conditions", help="Refuse a config with more conditions than this.", min=1)
]
TaskFile = Annotated[
    Path | None,
    typer.Option(
        "--task", help="Task YAML to use instead of the config's.", show_default=False, metavar="FILE"
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        help="File of NAME=value lines, passed to every job; fmon stores only the names.",
        show_default=False,
        metavar="FILE",
    ),
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", help="Ignore jobs submitted before this time (UTC).", show_default=False),
]
TaskArgument = Annotated[
    Path | None,
    typer.Argument(metavar="TASK", help="Task YAML to start from instead of the queue.", show_default=False),
]
Interval = Annotated[float, typer.Option("--interval", help="Seconds between polls.", min=1)]
ExitStatus = Annotated[
    bool,
    typer.Option(
        "--exit-status",
        help="Exit with 0 if all succeeded, 3 if jobs are open, 4 if all have ended but not all "
        "succeeded, 5 if jobs are open and the kill switch fired.",
    ),
]
OutDir = Annotated[Path, typer.Option("--out-dir", metavar="DIR", help="Directory for the reports.")]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Name to record in the audit log (default: the current user).",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Skip the confirmation prompt.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
OverBudget = Annotated[
    bool, typer.Option("--over-budget", help="Launch even if the estimate exceeds the budget.")
]
IncludeCancelled = Annotated[
    bool, typer.Option("--include-cancelled", help="Include jobs that a person cancelled.")
]

AllowBareVm = Annotated[
    bool, typer.Option("--allow-bare-vm", help="Allow jobs without a container image; the audit records it.")
]


def one_experiment(word: str | None, option: str | None) -> str | None:
    """Return the experiment given as an argument or with ``-e``.

    Raises
    ------
    ConfigError
        Both are given and differ.
    """
    if word is not None and option is not None and word != option:
        raise ConfigError(f"two experiments are given: {word} and -e {option}; give one")
    return option if word is None else word


def several_experiments(words: list[str] | None, options: list[str] | None) -> list[str]:
    """Return the experiments given as arguments or with ``-e``.

    Raises
    ------
    ConfigError
        Both are given and differ.
    """
    if words and options and words != options:
        message = (
            f"experiments are given as arguments ({' '.join(words)}) and with -e ({' '.join(options)}); "
        )
        raise ConfigError(message + "use only one of them")
    return words or options or []


def utc(time: datetime | None) -> datetime | None:
    """Return a time of the command line; without a zone it is UTC."""
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def now() -> datetime:
    """Return the time [UTC]."""
    return services().clock.now()


def print_lines(lines: Iterable[Any]) -> None:
    """Print ids, paths and the like, one per line."""
    for line in lines:
        print(line)  # noqa: T201


def user() -> str:
    """Return the name of the current user, for the audit."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a uid without a name, as in some containers
