"""The logs of failed attempts: cleaned and redacted by the caller, compressed, written durably."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from fmon.store.durable import cannot, remove_temps, write_durably
from fmon.store.reading import listing

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.store.folder import Store

MAX_BYTES = 64 << 20
"""More than any log that fmon stores has: a file that unpacks to more is not ours."""


def log_path(store: Store, name: str) -> Path:
    """Name the stored log of a job, by the name it has in a recording."""
    return store.job_logs / f"{name}.zst"


def remove_torn(store: Store) -> None:
    """Delete what dead writers left; the caller is the only one that writes logs."""
    if store.job_logs.is_dir():
        remove_temps(store.job_logs, listing(store.job_logs))


def save_log(store: Store, name: str, text: str) -> None:
    """Store a log; when this returns it survives a power cut.

    Raises
    ------
    StoreError
        It can't be written; a log that was there is untouched.
    """
    packed = pa.compress(text.encode("utf-8", "replace"), codec="zstd", asbytes=True)
    write_durably(log_path(store, name), packed)


def load_log(store: Store, name: str) -> str | None:
    """Read a stored log; None where there is none, or none that can be read any more.

    Raises
    ------
    StoreError
        No permission, or the disk fails.
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
        return None  # damaged: as if it had never been fetched
