"""The variables that jobs get from outside the config: ``--env-file`` and the environment of fmon.

Their values may be secrets: they go into the jobs and nowhere else.
"""

from __future__ import annotations

import re
from collections import ChainMap
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from fmon.config.placeholders import VARIABLE, filled, placeholders
from fmon.config.source import is_file, is_folder, read_text
from fmon.errors import ConfigError
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.model import Manifest

_NAME = re.compile(VARIABLE)
MAX_BYTES = 1_000_000
MAX_LINES = 10_000


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
    incomplete
        Those with a placeholder that has no value; empty in ``passed``.
    """

    environ: Mapping[str, str] = field(repr=False)
    env_file: Path | None = None
    passed: Mapping[str, str] = field(default_factory=dict, repr=False)
    incomplete: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of a variable; None if it has none."""
        return self.passed.get(name) or self.environ.get(name) or None

    def unresolved(self, text: str) -> list[str]:
        """List the placeholders of a text that have no value."""
        return [name for name in placeholders(text) if self.get(name) is None]

    def filled(self, text: str) -> str:
        """Replace the placeholders of a text; SkyPilot itself would pass them on unchanged."""
        return filled(text, self.get)


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
        The file can't be read or is too large, or a line is not ``NAME=value``; values are not part of the
        message.
    """
    if env_file is None:
        return Environment(environ=environ)
    path = env_file.absolute()
    passed, incomplete = _read(path, environ)
    return Environment(environ=environ, env_file=path, passed=passed, incomplete=incomplete)


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


def _read(path: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables of the file, and the names of those with a placeholder without a value."""
    from dotenv.parser import parse_stream

    text = _text(path)
    bindings: dict[str, str | None] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and not _NAME.fullmatch(binding.key)):
            written = binding.original.string
            line = binding.original.line + written[: -len(written.lstrip())].count("\n")
            message = f"{path}, line {line}: this is not NAME=value; correct the line"
            raise ConfigError(message)
        if binding.key is not None:
            bindings[binding.key] = binding.value
    return _resolved(bindings, environ)


def _text(path: Path) -> str:
    if is_folder(path):
        message = f"{path} is a directory; pass a file of NAME=value lines with --env-file"
        raise ConfigError(message)
    if not is_file(path):
        # A pipe could be read only once, but a resumed launch reads the file again.
        message = (
            f"the env file {path} does not exist, or is not a regular file; pass its path with --env-file"
        )
        raise ConfigError(message)
    text = read_text(path, what="the env file", max_bytes=MAX_BYTES)
    if "\0" in text:
        message = f"{path} has a NUL byte, which no variable can contain; is it the env file?"
        raise ConfigError(message)
    if text.count("\n") > MAX_LINES:
        message = f"{path} has more than {MAX_LINES:,} lines; is it the env file?"
        raise ConfigError(message)
    return text


def _resolved(
    bindings: Mapping[str, str | None], environ: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Replace the placeholders, as python-dotenv does: by variables above, else by the environment.

    ``dotenv_values`` copies the environment for every variable and replaces what has no value with nothing.
    """
    from dotenv.variables import Variable, parse_variables

    passed: dict[str, str] = {}
    incomplete: list[str] = []
    known = ChainMap(passed, dict(environ))
    for name, value in bindings.items():
        if value is None:
            # A name alone (NAME without =) takes its value from the environment, as in Docker's env files.
            if name in environ:
                passed[name] = environ[name]
            continue
        # $NAME alone is a placeholder, as in a task; python-dotenv knows only ${NAME}.
        is_bare = value.startswith("$") and _NAME.fullmatch(value[1:])
        atoms = list(parse_variables(f"${{{value[1:]}}}" if is_bare else value))
        is_complete = all(
            known.get(atom.name) or atom.default is not None for atom in atoms if isinstance(atom, Variable)
        )
        passed[name] = "".join(atom.resolve(known) for atom in atoms) if is_complete else ""
        incomplete += [] if is_complete else [name]
    return passed, tuple(incomplete)
