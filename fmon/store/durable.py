"""Writes that survive a crash, and file locks.

The only module that implements the crash rules of a single file: unique temporary file in the same folder,
fsync, rename, fsync the folder. A process that is killed in between leaves the old file and a temporary one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from fmon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TEMP_SUFFIX = ".tmp"


class LockTaken(StoreError):  # noqa: N818 - the name says what happened, like those in errors.py
    """Another process holds the lock; the lock is released when that process ends, in any way."""


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file completely or not at all; when this returns, it survives a power failure.

    Parameters
    ----------
    path
        The file; its folder is created if missing.
    data
        Its content.

    Raises
    ------
    StoreError
        The disk is full or read-only, or the permission is missing: the old file is unchanged and no
        temporary file is left.
    """
    write_chunks_durably(path, (data,))


def write_chunks_durably(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file like ``write_durably``, chunk by chunk, so that it need not fit into memory."""
    temp = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}{TEMP_SUFFIX}")
    try:
        make_folder(path.parent)
        try:
            _write_synced(temp, chunks)
            os.replace(temp, path)  # noqa: PTH105 - the tests of the crash rules count the system calls
        except BaseException:
            with suppress(OSError):
                os.unlink(temp)  # noqa: PTH108
            raise
        sync_folder(path.parent)
    except OSError as fault:
        raise cannot("write", path, fault) from fault


def make_folder(path: Path) -> None:
    """Create a folder and its parents durably, if missing."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Delete a file, if it exists, so that it stays deleted after a power failure."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as fault:
        raise cannot("delete", path, fault) from fault


def sync_folder(path: Path) -> None:
    """Make renames and deletions in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temps(folder: Path, names: list[str], *, older_than_s: float = 0) -> None:
    """Delete temporary files of writers that were killed.

    Parameters
    ----------
    folder, names
        A folder and the names in it.
    older_than_s
        Minimum age [s]; use 0 only if all writers hold the caller's lock.
    """
    for name in names:
        if not (name.startswith(".") and name.endswith(TEMP_SUFFIX)):
            continue
        with suppress(OSError):  # a temporary file is harmless, and the next writer tries again
            temp = folder / name
            if not older_than_s or time.time() - temp.stat().st_mtime > older_than_s:
                temp.unlink()


@contextmanager
def lock(path: Path, *, wait_s: float) -> Iterator[int]:
    """Hold an exclusive lock on a file; the kernel releases it when its holder dies.

    Yields the file descriptor: a child process that inherits it holds the lock as well.

    Parameters
    ----------
    path
        The lock file; it and a second file for the queue are created if missing and never deleted.
    wait_s
        Longest wait for another holder [s]; 0 = do not wait.

    Raises
    ------
    LockTaken
        Another process still holds it.
    StoreError
        The lock file can't be opened.
    """
    give_up_at = time.monotonic() + wait_s
    with ExitStack() as held:
        # A turnstile: only its holder may try to get the lock. Without it, a process that releases the lock
        # and gets it again at once (a replay) starves one that sleeps between its attempts.
        with ExitStack() as turn:
            _take(_opened(path.with_name(f"{path.name}.queue"), turn), path, wait_s, give_up_at)
            handle = _opened(path, held)
            _take(handle, path, wait_s, give_up_at)
        yield handle


def cannot(verb: str, path: Path, fault: OSError) -> StoreError:
    """Return an error that says what failed for a file and what to do next."""
    hints = {
        errno.ENOSPC: "free some disk space",
        errno.EDQUOT: "free some of your quota",
        errno.EROFS: "make the file system writable",
        errno.EACCES: "check the permissions",
        errno.EPERM: "check the permissions",
    }
    hint = hints.get(fault.errno or 0, "check the folder")
    reason = fault.strerror or type(fault).__name__
    return StoreError(f"can't {verb} {path} ({reason}): {hint}; stored data is intact")


def _write_synced(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            view = memoryview(chunk).cast("B")
            while view:
                view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _opened(path: Path, stack: ExitStack) -> int:
    """Open a lock file; closing it releases the lock, and the kernel closes it when the process dies."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as fault:
        raise cannot("lock", path, fault) from fault
    stack.callback(os.close, handle)
    return handle


def _take(handle: int, path: Path, wait_s: float, give_up_at: float) -> None:
    """Try to get the lock until the time is up."""
    pause_s = 0.001
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                message = (
                    f"another fmon process still holds the lock {path} after {wait_s:g} s; try again later"
                )
                raise LockTaken(message) from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)
        except OSError as fault:
            raise cannot("lock", path, fault) from fault
        else:
            return
