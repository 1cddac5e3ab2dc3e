"""The marker file of an experiment with failed attempts that may lack a complete finding.

It is created before the poll that saw the failure is committed, and deleted when all findings are complete: a
crash may leave it too long, but never deletes it too early. A poll without changes only checks whether the
file exists. Standard library only.

The file contains a token, which shows whether another process has set the marker again, and, if only missing
logs are left to be requested again, the time before which there is nothing to do.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fmon.store.durable import cannot, lock, remove, write_durably

if TYPE_CHECKING:
    from fmon.store.folder import Store

LOCK_WAIT_S = 30.0


def mark_pending(store: Store) -> None:
    """Set the marker; the caller holds the store's lock."""
    _write(store, _new_token(), "")


def is_due(store: Store, now: datetime) -> bool:
    """Return whether there may be something to examine now."""
    if not os.path.exists(store.unexamined):  # noqa: PTH110 - half the time of Path.exists, 365 times
        return False
    _, not_before = _read(store)
    return not_before is None or now >= not_before


def has_new(store: Store) -> bool:
    """Return whether a failure may never have been examined; if not, only logs are to be requested again."""
    return _read(store)[1] is None


def pending_token(store: Store) -> str | None:
    """Return the token for ``clear_pending``; read it before the state. None = there is no marker."""
    return _read(store)[0]


def clear_pending(store: Store, seen: str | None, *, has_new: bool, not_before: datetime | None) -> None:
    """Delete the marker, or write when there is something to do again; keep one that was set meanwhile.

    Parameters
    ----------
    store
        The experiment.
    seen
        The token that was read before the state.
    has_new
        Whether a failure is left that was never examined.
    not_before
        When to request a missing log again [UTC]; None = never.
    """
    if seen is None and not_before is None and not has_new:
        return
    with lock(store.lock_file, wait_s=LOCK_WAIT_S):
        if pending_token(store) != seen:
            return
        if has_new:
            _write(store, seen or _new_token(), "")
        elif not_before is None:
            remove(store.unexamined)
        else:
            _write(store, seen or _new_token(), not_before.isoformat())


def _new_token() -> str:
    return os.urandom(8).hex()


def _write(store: Store, token: str, not_before: str) -> None:
    write_durably(store.unexamined, f"{token}\n{not_before}".encode())


def _read(store: Store) -> tuple[str | None, datetime | None]:
    try:
        first, _, second = store.unexamined.read_text(encoding="ascii", errors="replace").partition("\n")
    except FileNotFoundError:
        return None, None
    except OSError as fault:
        raise cannot("read", store.unexamined, fault) from fault
    try:
        return first, datetime.fromisoformat(second).astimezone(UTC) if second else None
    except ValueError:
        return first, None
