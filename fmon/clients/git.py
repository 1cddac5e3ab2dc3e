"""What the project's git says of a fix: its commits, its tree.

Through the ``git`` command, which is there wherever a commit was made; never through a shell. Only reads.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

TIMEOUT_S = 60.0
"""Longest wait for one answer of git; ``status`` reads every file of a large project [s]."""

MOST_COMMITS = 1000
"""Commits that are looked at behind HEAD; a fix is one or a few."""


class Commit(NamedTuple):
    """A commit on the way to HEAD by first parents: a merged branch is one."""

    commit_id: str
    committed_s: int
    subject: str


def project_folder(path: Path) -> Path:
    """Give the root of the git repository that a file is in.

    Raises
    ------
    ConfigError
        The file is not in a repository, or git can't be run.
    """
    folder = path.absolute().parent
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done is None:
        message = (
            f"{path} is in no git repository; F3 looks at the commit of a fix: git init in the project's "
            "folder and commit"
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
        The time [UTC]; git knows whole seconds, so a commit of the same second is not after it.

    Returns
    -------
    tuple
        The commits, and what HEAD was before them; None = nothing was committed before.
    """
    shown = "--format=%H%x09%ct%x09%s"
    told = _git(project, "log", "--first-parent", f"--max-count={MOST_COMMITS}", shown) or ""
    found: list[Commit] = []
    for line in told.splitlines():
        commit_id, committed_s, subject = line.split("\t", 2)
        commit = Commit(commit_id, int(committed_s), subject)
        if commit.committed_s <= at.timestamp():
            return found, commit.commit_id
        found.append(commit)
    return found, None


def uncommitted(project: Path, *, besides: Iterable[Path]) -> list[str]:
    """List files that differ from HEAD or that git does not know; ignored ones do not count.

    Parameters
    ----------
    project
        Root of the repository.
    besides
        Folders that do not count: fmon's own stores.
    """
    inside = [folder.absolute() for folder in besides if folder.absolute().is_relative_to(project)]
    without = [f":(exclude,literal,top){folder.relative_to(project)}" for folder in inside]
    told = _git(project, "status", "--porcelain=v1", "-z", "--no-renames", "--", ".", *without)
    if told is None:
        message = f"git status fails in {project}; run it there and fix what it reports"
        raise ConfigError(message)
    return [entry[3:] for entry in told.split("\0") if entry]


def has_changed(project: Path, commit_id: str) -> bool:
    """Tell whether any file is another at HEAD than it was at a commit; empty commits change none."""
    return _git(project, "diff", "--name-only", commit_id, "HEAD") != ""


def text_at(project: Path, commit_id: str, path: Path) -> str | None:
    """Read a file as it was at a commit; None where it was not there, or is outside of the project."""
    root, file = project.resolve(), path.resolve()
    if not file.is_relative_to(root):
        return None
    return _git(project, "show", f"{commit_id}:{file.relative_to(root)}")


def _git(folder: Path, *arguments: str) -> str | None:
    """Ask git; None where it refuses. Its messages are not read: they are translated."""
    # Without optional locks a look at the status never stands in the way of a commit.
    command = ["git", "--no-optional-locks", "--literal-pathspecs", *arguments]
    if arguments[0] == "status":
        command.remove("--literal-pathspecs")  # it has pathspecs that leave something out
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as fault:
        message = f"git can't be run in {folder}; install it, F3 looks at the commit of a fix"
        raise ConfigError(message) from fault
    except subprocess.TimeoutExpired as fault:
        message = f"git {arguments[0]} has not answered in {TIMEOUT_S:.0f} s in {folder}"
        raise ConfigError(message) from fault
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
