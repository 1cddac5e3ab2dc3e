"""Store the logs of failed attempts, compressed; the caller has cleaned and redacted them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow as pa

from fmon.store.durable import cannot, remove_temps, write_durably
from fmon.store.reading import listing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fmon.store.folder import Store

MAX_BYTES = 64 << 20
"""Maximum size of an uncompressed log; fmon never stores a larger one."""


def log_path(store: Store, name: str) -> Path:
    """Return the path of a stored log, by its file name in a recording."""
    return store.job_logs / f"{name}.zst"


def remove_torn(store: Store) -> None:
    """Delete temporary files of killed writers; no other process may write logs meanwhile."""
    if store.job_logs.is_dir():
        remove_temps(store.job_logs, listing(store.job_logs))


def set_aside(store: Store, names: Iterable[str]) -> None:
    """Rename the stored logs of a job that ran again: they are those of an earlier end.

    Raises
    ------
    StoreError
        They can't be renamed.
    """
    for name in names:
        path = log_path(store, name)
        try:
            path.replace(path.with_name(f"{name}.{time.time_ns()}.earlier.zst"))
        except FileNotFoundError:
            continue
        except OSError as fault:
            raise cannot("rename", path, fault) from fault


def save_log(store: Store, name: str, text: str) -> None:
    """Store a log; when this returns, it survives a power failure.

    Raises
    ------
    StoreError
        It can't be written; an old log is unchanged.
    """
    packed = pa.compress(text.encode("utf-8", "replace"), codec="zstd", asbytes=True)
    write_durably(log_path(store, name), packed)


def load_log(store: Store, name: str) -> str | None:
    """Read a stored log; None if it is missing or damaged.

    Raises
    ------
    StoreError
        The permission is missing.
    """
    path = log_path(store, name)
    try:
        with pa.input_stream(str(path), compression="zstd") as stream:
            return bytes(stream.read(MAX_BYTES)).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except PermissionError as fault:
        raise cannot("read", path, fault) from fault
    except (pa.ArrowException, OSError):
        return None  # damaged: treated as missing
