"""The variables that jobs get from outside the config: ``--env-file`` and the environment of fmon.

Their values may be secrets: they go into the jobs and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from fmon.config.source import read_text
from fmon.errors import ConfigError
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.model import Manifest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Values for the variables of jobs.

    Attributes
    ----------
    environ
        The environment of fmon: for variables that the task declares without a value, and placeholders.
    env_file
        Absolute path of the env file; None = none.
    passed
        Its variables, which every job gets.
    """

    environ: Mapping[str, str]
    env_file: Path | None = None
    passed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> str | None:
        """Return the value of a variable; None if it has none."""
        return self.passed.get(name) or self.environ.get(name) or None

    def unresolved(self, text: str) -> list[str]:
        """List the placeholders (``${NAME}``) of a text that have no value."""
        return [name for name in _PLACEHOLDER.findall(text) if self.get(name) is None]

    def filled(self, text: str) -> str:
        """Replace the placeholders of a text; SkyPilot itself would pass them on unchanged."""
        return _PLACEHOLDER.sub(lambda found: self.get(found[1]) or found[0], text)


def read_environment(environ: Mapping[str, str], env_file: Path | None) -> Environment:
    """Return the environment of jobs.

    Parameters
    ----------
    environ
        The environment of fmon.
    env_file
        A file of ``NAME=value`` lines, as for ``sky jobs launch --env-file``; None = none.

    Raises
    ------
    ConfigError
        The file can't be read, or a line is not ``NAME=value``; values are not part of the message.
    """
    if env_file is None:
        return Environment(environ=environ)
    path = env_file.absolute()
    return Environment(environ=environ, env_file=path, passed=_read(path, environ))


def environment_of(manifest: Manifest, env_file: Path | None, environ: Mapping[str, str]) -> Environment:
    """Return the environment of an experiment's jobs, from this env file or the one of its launch.

    Parameters
    ----------
    manifest
        The experiment.
    env_file
        The env file of this command; None = the one of the launch, if there was one.
    environ
        The environment of fmon.

    Raises
    ------
    ConfigError
        The file no longer exists, can't be read, or lacks a variable that earlier jobs got from it.
    """
    if env_file is not None or manifest.env_file is None:
        return read_environment(environ, env_file)
    path = Path(manifest.env_file)
    if not path.is_file():
        message = (
            f"the env file {path}, which the jobs of {manifest.experiment_id} were launched with, "
            "no longer exists; pass another one with --env-file"
        )
        raise ConfigError(message)
    found = read_environment(environ, path)
    lost = [name for name in manifest.env_file_names if name not in found.passed]
    if lost:
        message = f"{path} no longer has {listed(lost)}, which earlier jobs of {manifest.experiment_id} got"
        raise ConfigError(message)
    return found


def record_environment(manifest: Manifest, environment: Environment) -> None:
    """Store the file's path and the names of its variables, never their values."""
    manifest.env_file = None if environment.env_file is None else str(environment.env_file)
    manifest.env_file_names = sorted(environment.passed)


def _read(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    if not path.is_file():
        message = f"the env file {path} does not exist; pass its path with --env-file"
        raise ConfigError(message)
    text = read_text(path)
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and not _NAME.fullmatch(binding.key)):
            written = binding.original.string
            line = binding.original.line + written[: -len(written.lstrip())].count("\n")
            message = f"{path}, line {line}: this is not NAME=value; correct the line"
            raise ConfigError(message)
    # A name alone (NAME without =) takes its value from the environment, as in Docker's env files.
    values = (
        (name, environ.get(name) if value is None else value)
        for name, value in dotenv_values(stream=StringIO(text)).items()
    )
    return {name: value for name, value in values if value is not None}
