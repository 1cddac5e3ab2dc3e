"""``events.jsonl``: the append-only audit of an experiment.

One JSON object a line. A line without its newline was never acknowledged: a crash tore it. Readers
leave it out, the next writer starts a new line behind it.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.store.durable import cannot, sync_folder

if TYPE_CHECKING:
    from datetime import datetime

    from fmon.store.folder import Store

RENAMED_KINDS = {
    "cancel_begin": "cancel_requested",
    "close_lost": "lost_job_closed",
    "fix_verify": "fix_verified",
    "authorize_cycle": "cycle_authorized",
}
RENAMED_FIELDS = {"why_none": "no_action_reason"}
"""Names that early stores were written with, and what they are read as: events are never rewritten."""


def append_event(store: Store, kind: str, /, *, at: datetime, **fields: Any) -> None:
    """Add one event; when this returns it survives a power cut.

    Parameters
    ----------
    store : the experiment
    kind : what happened
    at : when [UTC]
    fields : whatever JSON can hold

    Raises
    ------
    StoreError
        It can't be written; the events before it are intact.
    """
    line = msgspec.json.encode({"at": at, "event": kind, **fields}) + b"\n"
    try:
        is_new = not store.events.exists()
        handle = os.open(store.events, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # held for one write; freed by the kernel
            _append_line(handle, line)
        finally:
            os.close(handle)
        if is_new:
            sync_folder(store.path)
    except OSError as fault:
        raise cannot("write", store.events, fault) from fault


def read_events(store: Store) -> list[dict[str, Any]]:
    """Read all events, oldest first, by their names of today; torn lines are left out.

    Raises
    ------
    StoreError
        The file can't be read.
    """
    try:
        lines = store.events.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise cannot("read", store.events, fault) from fault
    events = []
    for line in lines[:-1]:  # behind the last newline there is nothing, or what a crash left
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(event, dict):
            events.append(_renamed(event))
    return events


def _renamed(event: dict[str, Any]) -> dict[str, Any]:
    """Name an event and its fields as they are called today."""
    event = {RENAMED_FIELDS.get(name, name): value for name, value in event.items()}
    kind = event.get("event")
    if isinstance(kind, str) and kind in RENAMED_KINDS:
        event["event"] = RENAMED_KINDS[kind]
    return event


def _append_line(handle: int, line: bytes) -> None:
    """Write a line behind the last whole one; on a full disk leave the file as it was."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        view = memoryview(line)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise
