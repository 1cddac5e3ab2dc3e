"""Where everything of one experiment stands, and which experiments there are.

Standard library only: ``fmon poll`` with nothing open must cost no more than starting Python.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from fmon.errors import ConfigError
from fmon.store.durable import remove
from fmon.text import listed

MANIFEST = "manifest.json"
CLOSED = "closed"
POLL_WAIT_S = 300.0
"""Longest wait for the lock of the polls [s]: a poll holds it for as long as its queue takes to answer."""
CREATED = re.compile(r"-(\d{8}T\d{6})Z$")


class Created(TypedDict):
    """The one key of a manifest that is read here."""

    created_at: datetime


@dataclass(frozen=True, order=True)
class Store:
    """The folder of one experiment; names its files and knows whether ``poll`` is done with it."""

    path: Path

    @property
    def experiment_id(self) -> str:
        """The experiment; the folder's name."""
        return self.path.name or self.path.resolve().name

    @property
    def manifest(self) -> Path:
        """Which job is which condition; a folder without it is no store."""
        return self.path / MANIFEST

    @property
    def state(self) -> Path:
        """The newest row of each job task; rebuildable from the log."""
        return self.path / "state.parquet"

    @property
    def log_dir(self) -> Path:
        """Heartbeats and changes of all polls, one Parquet file per range of polls."""
        return self.path / "log"

    @property
    def events(self) -> Path:
        """The audit, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def findings(self) -> Path:
        """Why each failed attempt failed; rebuildable from the logs of jobs and the state."""
        return self.path / "findings.parquet"

    @property
    def job_logs(self) -> Path:
        """The logs of failed attempts, redacted and compressed."""
        return self.path / "logs"

    @property
    def unexamined(self) -> Path:
        """Stands while a failed attempt may have no complete finding: see ``store.unexamined``."""
        return self.path / "unexamined"

    @property
    def runs(self) -> Path:
        """What MLflow said of the runs of its jobs when a report last asked."""
        return self.path / "runs.parquet"

    @property
    def lock_file(self) -> Path:
        """Held around every storage step."""
        return self.path / ".lock"

    @property
    def is_closed(self) -> bool:
        """True when nothing is left for ``poll`` to look at."""
        return os.path.exists(self.path / CLOSED)  # noqa: PTH110 - half the time of Path.exists, 365 times

    @property
    def closed_mark(self) -> Path:
        """The marker file of an ended experiment."""
        return self.path / CLOSED

    def reopen(self) -> None:
        """Let ``poll`` look at the experiment again."""
        remove(self.closed_mark)


def poll_lock(data: Path) -> Path:
    """Name the lock of a folder of stores: held by whoever looks at the queue and writes what it said."""
    return data / ".poll.lock"


def examine_turn(data: Path) -> Path:
    """Name the file that says which experiment's logs the last poll asked for first."""
    return data / ".examine-turn"


def launch_lock(data: Path, experiment_name: str) -> Path:
    """Name the lock of whoever launches jobs of experiments of one name, relaunches too."""
    return data / f".launch-{experiment_name}.lock"


def issues_lock(data: Path) -> Path:
    """Name the lock of whoever files issues about the experiments of a folder."""
    return data / ".issues.lock"


def stores(data: Path | str) -> list[Store]:
    """List the experiments of a folder by id: its folders with a manifest.json.

    Raises
    ------
    ConfigError
        ``data`` is a file or can't be read. That it does not exist yet is no error.
    """
    try:
        names = sorted(os.listdir(data))  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return []
    except OSError as fault:
        message = f"--data {data} can't be read as a folder of experiments ({fault.strerror})"
        raise ConfigError(message) from fault
    root = os.fspath(data)
    return [
        Store(Path(root, name))
        for name in names
        if os.path.lexists(f"{root}/{name}/{MANIFEST}")  # a broken link is a broken manifest: said when read
    ]


def find(data: Path | str, prefix: str | None = None) -> Store:
    """Find one experiment.

    Parameters
    ----------
    data
        Data directory.
    prefix
        Its id or a unique prefix; None = the newest by created_at, then id.

    Raises
    ------
    ConfigError
        None or several experiments start like that (names them).
    """
    known = stores(data)
    if not known:
        where = data if os.path.isabs(data) else f"{data}, that is {os.path.abspath(data)}"  # noqa: PTH100, PTH117
        message = f"no experiment in {where}; fmon adopt CONFIG or fmon replay RECORDING makes one"
        raise ConfigError(message)
    if prefix is None:
        return max(known, key=lambda store: (_created_at(store), store.experiment_id))
    found = [store for store in known if store.experiment_id.startswith(prefix)]
    exact = [store for store in found if store.experiment_id == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        ids = listed(store.experiment_id for store in found)
        message = f"{prefix!r} is the start of {len(found)} experiments: {ids}; give more of the id"
        raise ConfigError(message)
    ids = listed(store.experiment_id for store in known)
    message = f"no experiment in {data} starts with {prefix!r}; there are: {ids}"
    raise ConfigError(message)


def _created_at(store: Store) -> datetime:
    """Read the creation time off the id, else out of the manifest; a broken manifest counts as oldest."""
    stamp = CREATED.search(store.experiment_id)
    try:
        if stamp:
            return datetime.strptime(f"{stamp[1]}+0000", "%Y%m%dT%H%M%S%z")
        return _created_in(store.manifest)
    except (OSError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _created_in(manifest: Path) -> datetime:
    """Decode one key of a manifest whose experiment id has no time stamp.

    Raises
    ------
    OSError, ValueError
        It can't be read, or has no valid ``created_at``.
    """
    import msgspec  # ids made by fmon never need it

    created_at = msgspec.json.decode(manifest.read_bytes(), type=Created)["created_at"]
    return created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
