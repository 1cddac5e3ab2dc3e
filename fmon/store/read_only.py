"""Work on a store that can't be written: a colleague's, or an archive.

Commands that only report also keep what they found out. Where that is not possible, they work on a copy in a
temporary folder, so that one code path serves both.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import StoreError
from fmon.store.durable import TEMP_SUFFIX
from fmon.store.folder import Store, poll_lock
from fmon.store.reading import steadily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Workplace(NamedTuple):
    """Where to work on an experiment.

    Attributes
    ----------
    store
        The store, or its copy.
    unrecorded
        Why nothing will be recorded, in a sentence; None = it is the store itself.
    """

    store: Store
    unrecorded: str | None


@contextmanager
def workplace(store: Store) -> Iterator[Workplace]:
    """Return the store, or a temporary copy if it can't be written.

    Nothing may be requested for a copy from a server: an archive's job ids may be those of another one.

    Parameters
    ----------
    store
        The experiment.
    """
    locked = _locked_path(store)
    if locked is None:
        yield Workplace(store, None)
        return
    sentence = (
        f"nothing was recorded: {locked} can't be written; to continue the experiment, copy its data "
        "folder and use --data COPY"
    )
    with TemporaryDirectory(prefix="fmon-") as folder:
        yield Workplace(_copy(store, Path(folder)), sentence)


def _locked_path(store: Store) -> Path | None:
    """Return the first file or folder of a store that can't be written; None = there is none."""
    data = store.path.parent
    locks = [store.lock_file, store.path / ".examine.lock", poll_lock(data)]
    files = [store.events, *locks, *(lock.with_name(f"{lock.name}.queue") for lock in locks)]
    folders = [store.path, *(each for each in (store.log_dir, store.job_logs) if each.exists())]
    # A file that does not exist yet is created in its folder.
    checked = [*folders, *(file if file.exists() else file.parent for file in files)]
    return next((path for path in checked if not os.access(path, os.W_OK)), None)


def _copy(store: Store, folder: Path) -> Store:
    """Copy a store; logs of jobs, which may be large and never change, are links."""
    copy = Store(folder / store.experiment_id)
    for path in (copy.path, copy.log_dir, copy.job_logs):
        path.mkdir()
    steadily(store, lambda paths: _copy_files(paths, copy.log_dir))
    # After the log: a state that is older than the log would hide failures.
    _copy_files(_files(store.path), copy.path)
    for log in _files(store.job_logs):
        (copy.job_logs / log.name).symlink_to(log.resolve())
    return copy


def _copy_files(paths: Iterable[Path], folder: Path) -> None:
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _files(folder: Path) -> Sequence[Path]:
    """List the files of a folder that have content: no locks and no temporary files."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and ".lock" not in path.name and path.suffix != TEMP_SUFFIX
    ]


def require_writable(folder: Path) -> None:
    """Raise an error if a folder for outputs can't be created or written."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = os.strerror(errno.EACCES if existing.is_dir() else errno.ENOTDIR)
        message = (
            f"can't write into {folder} ({existing}: {reason}); choose another folder with --out-dir DIR"
        )
        raise StoreError(message)
