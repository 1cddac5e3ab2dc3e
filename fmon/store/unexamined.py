"""The mark that a failed attempt may be without a complete finding.

Set before the poll that saw the failure is committed, taken away when all findings are complete: a crash
leaves it too long, never too short, and a quiet poll pays one look at the folder. Standard library only.

The file holds a token, so that who takes it away can tell that nobody set it anew meanwhile, and where only
missing logs are to be asked for again, the time before which there is nothing to do.
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
    """Say that there may be something to examine; the caller holds the store's lock."""
    _write(store, _new_token(), "")


def is_due(store: Store, now: datetime) -> bool:
    """Tell whether there may be something to examine by now."""
    if not os.path.exists(store.unexamined):  # noqa: PTH110 - half the time of Path.exists, 365 times
        return False
    _, not_before = _read(store)
    return not_before is None or now >= not_before


def has_new(store: Store) -> bool:
    """Return whether a failure may never have been examined; else there are only logs to ask for again."""
    return _read(store)[1] is None


def pending_token(store: Store) -> str | None:
    """Give what to hand to ``clear_pending``; to be read before the state is. None = not marked."""
    return _read(store)[0]


def clear_pending(store: Store, seen: str | None, *, has_new: bool, not_before: datetime | None) -> None:
    """Take the mark away, or say when there is something to do again; one set meanwhile stays as it is.

    Parameters
    ----------
    store
        The experiment.
    seen
        The token that stood there before the state was read.
    has_new
        A failure is left that was never examined.
    not_before
        When there is something else to do again [UTC]; None = never.
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
