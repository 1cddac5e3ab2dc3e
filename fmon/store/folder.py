"""The folders of experiments, and the files in them.

Standard library only: ``fmon poll`` without open experiments must not take longer than starting Python.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

from fmon.errors import ConfigError
from fmon.store.durable import remove
from fmon.text import listed

MANIFEST = "manifest.json"
CLOSED = "closed"
POLL_WAIT_S = 300.0
"""Longest wait for the lock of polls [s]: a poll holds it while it waits for its queue."""
EVERY_POLL, HOURLY, DAILY = timedelta(minutes=15), timedelta(days=1), timedelta(days=7)
"""How long an ended experiment is checked again at every poll, then hourly, then daily; then never."""
NEVER = 0.0
CREATED = re.compile(r"-(\d{8}T\d{6})Z$")


class Created(TypedDict):
    """The only key of a manifest that is read here."""

    created_at: datetime


@dataclass(frozen=True, order=True)
class Store:
    """The folder of one experiment, with the paths of its files."""

    path: Path

    @property
    def experiment_id(self) -> str:
        """Id of the experiment: the name of the folder."""
        return self.path.name or self.path.resolve().name

    @property
    def manifest(self) -> Path:
        """The manifest; a folder without one is not a store."""
        return self.path / MANIFEST

    @property
    def state(self) -> Path:
        """The newest row of each job task; can be rebuilt from the log."""
        return self.path / "state.parquet"

    @property
    def log_dir(self) -> Path:
        """Heartbeats and changes of all polls, one Parquet file per range of polls."""
        return self.path / "log"

    @property
    def events(self) -> Path:
        """The audit log, one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def findings(self) -> Path:
        """Why each failed attempt failed; can be recreated from the logs of jobs and the state."""
        return self.path / "findings.parquet"

    @property
    def job_logs(self) -> Path:
        """The logs of failed attempts, redacted and compressed."""
        return self.path / "logs"

    @property
    def unexamined(self) -> Path:
        """Exists while a failed attempt may have no complete finding: see ``store.unexamined``."""
        return self.path / "unexamined"

    @property
    def variables(self) -> Path:
        """Jobs whose variables differ from those of their conditions: see ``store.variable_checks``."""
        return self.path / "variables.parquet"

    @property
    def unchecked(self) -> Path:
        """Exists while the variables of a job may have to be compared: see ``store.variable_checks``."""
        return self.path / "unchecked"

    @property
    def has_unchecked(self) -> bool:
        """Whether there may be jobs whose variables were not compared yet."""
        return os.path.exists(self.unchecked)  # noqa: PTH110 - half the time of Path.exists, 365 times

    @property
    def runs(self) -> Path:
        """The MLflow runs of its jobs as of the last report that read them."""
        return self.path / "runs.parquet"

    @property
    def lock_file(self) -> Path:
        """The lock for every change of the store."""
        return self.path / ".lock"

    @property
    def is_closed(self) -> bool:
        """Whether ``poll`` skips the experiment, because it has ended."""
        return os.path.exists(self.path / CLOSED)  # noqa: PTH110 - half the time of Path.exists, 365 times

    @property
    def closed_mark(self) -> Path:
        """The marker file of an ended experiment; its mtime is the time of the next check."""
        return self.path / CLOSED

    @property
    def closed_at(self) -> datetime:
        """When the experiment was closed [UTC]; by an earlier version of fmon, when the marker was written.

        Raises
        ------
        OSError
            It is not closed.
        """
        try:
            return datetime.fromisoformat(self.closed_mark.read_text(encoding="ascii")).astimezone(UTC)
        except ValueError:
            return datetime.fromtimestamp(self.closed_mark.stat().st_mtime, UTC)

    def is_to_poll(self, now: datetime) -> bool:
        """Return whether ``poll`` includes the experiment: it is open, or ended and due to be checked again.

        Costs one stat, also for an experiment that ended years ago.
        """
        try:
            next_at = os.stat(self.path / CLOSED).st_mtime  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return True
        # No check is planned more than a day ahead: a later time is one of a clock that was wrong.
        is_ahead = now.timestamp() < next_at <= (now + timedelta(days=1, minutes=1)).timestamp()
        return next_at != NEVER and not is_ahead

    def plan_check(self, now: datetime) -> None:
        """Set when an ended experiment is checked again after a check; never creates the marker."""
        with contextlib.suppress(OSError):  # it has been reopened meanwhile, or is checked once more
            closed_at = self.closed_at
            if not self.closed_mark.stat().st_size:  # by an earlier version of fmon: the mtime was all it had
                with self.closed_mark.open("r+", encoding="ascii") as mark:
                    mark.write(closed_at.isoformat())
            next_at = next_check(closed_at, now)
            at = NEVER if next_at is None else next_at.timestamp()
            os.utime(self.closed_mark, (at, at))

    def check_no_more(self) -> None:
        """Never check an ended experiment again, unless it is named; never creates the marker."""
        with contextlib.suppress(OSError):
            os.utime(self.closed_mark, (NEVER, NEVER))

    def reopen(self) -> None:
        """Make ``poll`` include the experiment again."""
        remove(self.closed_mark)


def next_check(closed_at: datetime, now: datetime) -> datetime | None:
    """Return when an ended experiment is checked again after a check now; None = never.

    Examples
    --------
    >>> end = datetime(2026, 1, 1, tzinfo=UTC)
    >>> [
    ...     f"{next_check(end, end + timedelta(minutes=age)) or ' ' * 5 + 'never'}"[5:16]
    ...     for age in (0, 14, 15, 90, 2000, 20000)
    ... ]
    ['01-01 00:00', '01-01 00:14', '01-01 01:15', '01-01 02:30', '01-03 09:20', 'never']
    """
    age = now - closed_at
    if age < EVERY_POLL:
        return now
    if age < EVERY_POLL + HOURLY:
        return now + timedelta(hours=1)
    if age < EVERY_POLL + HOURLY + DAILY:
        return now + timedelta(days=1)
    return None


def poll_lock(data: Path) -> Path:
    """Return the lock file for polls of a data directory, held while the queue is read and stored."""
    return data / ".poll.lock"


def examine_turn(data: Path) -> Path:
    """Return the file with the experiment whose logs the last poll requested first."""
    return data / ".examine-turn"


def variables_lock(data: Path) -> Path:
    """Return the lock file for comparing the variables of jobs of a data directory."""
    return data / ".variables.lock"


def launch_lock(data: Path, experiment_name: str) -> Path:
    """Return the lock file for launches and relaunches of the experiments with one name."""
    return data / f".launch-{experiment_name}.lock"


def issues_lock(data: Path) -> Path:
    """Return the lock file for filing issues about the experiments of a data directory."""
    return data / ".issues.lock"


def stores(data: Path | str) -> list[Store]:
    """List the experiments of a data directory by id: its folders with a manifest.json.

    Raises
    ------
    ConfigError
        ``data`` is a file or can't be read. It need not exist.
    """
    try:
        names = sorted(os.listdir(data))  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return []
    except OSError as fault:
        message = f"--data {data} can't be read ({fault.strerror}); give the folder of the experiments"
        raise ConfigError(message) from fault
    root = os.fspath(data)
    return [
        Store(Path(root, name))
        for name in names
        if os.path.lexists(
            f"{root}/{name}/{MANIFEST}"
        )  # a broken link is a broken manifest, reported when it is read
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
        No experiment or several ones match; the message lists them.
    """
    if prefix == "":
        raise ConfigError("the experiment is an empty text; give its id, or leave it out for the newest")
    known = stores(data)
    if not known:
        where = data if os.path.isabs(data) else f"{data} ({os.path.abspath(data)})"  # noqa: PTH100, PTH117
        message = f"no experiment in {where}; create one with fmon adopt CONFIG or fmon replay RECORDING"
        raise ConfigError(message)
    if prefix is None:
        return max(known, key=lambda store: (_created_at(store), store.experiment_id))
    found = [store for store in known if store.experiment_id.startswith(prefix)]
    exact = [store for store in found if store.experiment_id == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        ids = listed(store.experiment_id for store in found)
        message = f"{prefix!r} matches {len(found)} experiments: {ids}; give a longer prefix"
        raise ConfigError(message)
    ids = listed(store.experiment_id for store in known)
    message = f"no experiment in {data} starts with {prefix!r}; available: {ids}"
    raise ConfigError(message)


def _created_at(store: Store) -> datetime:
    """Return the creation time from the id, else from the manifest; a broken manifest counts as oldest."""
    stamp = CREATED.search(store.experiment_id)
    try:
        if stamp:
            return datetime.strptime(f"{stamp[1]}+0000", "%Y%m%dT%H%M%S%z")
        return _created_in(store.manifest)
    except (OSError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _created_in(manifest: Path) -> datetime:
    """Return the creation time in a manifest whose experiment id has no timestamp.

    Raises
    ------
    OSError, ValueError
        It can't be read, or has no valid ``created_at``.
    """
    import msgspec  # not needed for ids that fmon created

    created_at = msgspec.json.decode(manifest.read_bytes(), type=Created)["created_at"]
    return created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
