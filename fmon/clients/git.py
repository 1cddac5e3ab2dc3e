"""Read the commits and the working tree of the project with git.

Runs the ``git`` command, which exists wherever a commit was made, without a shell. Never changes anything.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

TIMEOUT_S = 60.0
"""Longest wait for one git command [s]; ``status`` reads every file of a large project."""

FOREIGN = re.compile(rb"safe\.directory (.+)")
"""The command that git recommends for a repository of another user, whatever the language of its message."""

MOST_COMMITS = 1000
"""Maximum number of commits to read from HEAD; a fix has one or a few."""


class Commit(NamedTuple):
    """A first-parent ancestor of HEAD: a merged branch counts as one commit."""

    commit_id: str
    committed_s: int
    subject: str


def project_folder(path: Path) -> Path:
    """Return the root of the git repository that contains a file.

    Raises
    ------
    ConfigError
        The file is not in a repository, git can't be run, or the repository belongs to another user.
    """
    folder = path.absolute().parent
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done is None:
        message = (
            f"{path} is not in a git repository, but F3 checks that a fix is committed; run git init in the "
            "project's folder and commit"
        )
        raise ConfigError(message)
    return Path(done.removesuffix("\n"))


def commits_after(project: Path, at: datetime) -> tuple[list[Commit], str | None]:
    """List the commits made after a time, newest first, and the id of the one before them.

    Parameters
    ----------
    project
        Root of the repository.
    at
        The time [UTC]; git stores seconds, so a commit in the same second is not after it.

    Returns
    -------
    tuple
        The commits, and the id of the commit before them; None if there is none.
    """
    columns = "--format=%H%x09%ct%x09%s"
    output = _git(project, "log", "--first-parent", f"--max-count={MOST_COMMITS}", columns) or ""
    found: list[Commit] = []
    for line in output.splitlines():
        commit_id, committed_s, subject = line.split("\t", 2)
        commit = Commit(commit_id, int(committed_s), subject)
        if commit.committed_s <= at.timestamp():
            return found, commit.commit_id
        found.append(commit)
    return found, None


def changed_files(project: Path, commit_id: str) -> list[str]:
    """List the files that a commit changed, relative to the project; a merge against its first parent."""
    wanted = ("--first-parent", "-m", "--format=", "--name-only", "--no-renames", "-z")
    output = _git(project, "show", *wanted, commit_id) or ""
    return [name for name in output.split("\0") if name.strip()]


def uncommitted(project: Path, *, besides: Iterable[Path]) -> list[str]:
    """List files that differ from HEAD or are untracked; ignored files are left out.

    Parameters
    ----------
    project
        Root of the repository.
    besides
        Folders to leave out, such as fmon's data directory.
    """
    inside = [folder.absolute() for folder in besides if folder.absolute().is_relative_to(project)]
    without = [f":(exclude,literal,top){folder.relative_to(project)}" for folder in inside]
    output = _git(project, "status", "--porcelain=v1", "-z", "--no-renames", "--", ".", *without)
    if output is None:
        message = f"git status failed in {project}; run it there and fix what it reports"
        raise ConfigError(message)
    return [entry[3:] for entry in output.split("\0") if entry]


def has_changed(project: Path, commit_id: str) -> bool:
    """Return whether any file differs between a commit and HEAD; empty commits change none."""
    return _git(project, "diff", "--name-only", commit_id, "HEAD") != ""


def text_at(project: Path, commit_id: str, path: Path) -> str | None:
    """Read a file as of a commit; None if it did not exist or is outside of the project."""
    root, file = project.resolve(), path.resolve()
    if not file.is_relative_to(root):
        return None
    return _git(project, "show", f"{commit_id}:{file.relative_to(root)}")


def _git(folder: Path, *arguments: str) -> str | None:
    """Run git and return its output; None if it fails. Its messages are not used: they may be translated."""
    # Without optional locks, reading the status never blocks a commit.
    command = ["git", "--no-optional-locks", "--literal-pathspecs", *arguments]
    if arguments[0] == "status":
        command.remove("--literal-pathspecs")  # it uses pathspecs to exclude folders
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as fault:
        message = f"git can't be run in {folder}; install it, since F3 checks the commit of a fix"
        raise ConfigError(message) from fault
    except subprocess.TimeoutExpired as fault:
        message = (
            f"git {arguments[0]} did not finish within {TIMEOUT_S:.0f} s in {folder}; run it there to see why"
        )
        raise ConfigError(message) from fault
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")
    _refuse_foreign(folder, done.stderr)
    return None


def _refuse_foreign(folder: Path, message: bytes) -> None:
    """Raise an error if git refuses the repository because another user owns it."""
    found = FOREIGN.search(message)
    if found:
        command = f"git config --global --add safe.directory {found[1].decode(errors='replace').strip()}"
        refusal = (
            f"git refuses to read the repository of {folder}, because another user owns it; "
            f"if you trust it, run {command}"
        )
        raise ConfigError(refusal)
