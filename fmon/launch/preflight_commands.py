"""Run the config's preflight commands before the first job is launched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmon.clients.git import project_folder
from fmon.errors import ConfigError
from fmon.events import CommandResult
from fmon.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmon.clients.shell import Ran
    from fmon.model import Experiment


def run_preflight(experiment: Experiment, run: Callable[..., Ran]) -> list[CommandResult]:
    """Run the commands in their order, in the root of the config's repository, up to the first that fails.

    Parameters
    ----------
    experiment
        The config; without a repository its folder is used.
    run
        Runs a command.

    Returns
    -------
    list
        What ran; commands may contain secrets, which are redacted.

    Raises
    ------
    ConfigError
        A command failed; nothing was launched.
    """
    results: list[CommandResult] = []
    folder = _folder(Path(experiment.config_file)) if experiment.preflight else Path()
    for command in experiment.preflight:
        ran = run("preflight", command, folder=folder)
        if ran.exit_status != 0:
            message = (
                f"nothing was launched: the preflight command {redact(command)!r} ended with exit status "
                f"{ran.exit_status} in {folder}; fix the cause and launch again"
            )
            raise ConfigError(message)
        results.append(CommandResult(command=redact(command), exit_status=0, duration_s=ran.duration_s))
    return results


def commands_before(experiment: Experiment) -> list[str]:
    """Return the commands as they may be shown: redacted."""
    return [redact(command) for command in experiment.preflight]


def _folder(config: Path) -> Path:
    """Return the folder that the commands run in: as for ``verify``, or the config's without a repository."""
    try:
        return project_folder(config)
    except ConfigError:
        return config.absolute().parent
