"""``events.jsonl``: the append-only audit log of an experiment.

One JSON object per line, of the kinds in ``fmon.events``. A line without a newline is incomplete because of a
crash, and was never acknowledged. Readers ignore it, and the next writer starts a new line after it.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from fmon.errors import StoreError
from fmon.events import ActionEvent, Event, KnownEvent, UnknownEvent
from fmon.store.durable import cannot, sync_folder

if TYPE_CHECKING:
    from fmon.store.folder import Store

RENAMED_KINDS = {
    "cancel_begin": "cancel_requested",
    "close_lost": "lost_job_closed",
    "fix_verify": "fix_verified",
    "authorize_cycle": "cycle_authorized",
}
RENAMED_FIELDS = {"why_none": "no_action_reason"}
"""Names in early stores and the current names: events are never rewritten."""

KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(KnownEvent))

_decoder: msgspec.json.Decoder[KnownEvent] = msgspec.json.Decoder(KnownEvent)


def append_event(store: Store, event: Event, *, is_replay: bool = False) -> None:
    """Append one event; when this returns, it survives a power failure.

    Parameters
    ----------
    store
        The experiment.
    event
        What happened.
    is_replay
        Whether the experiment is a replay; if so, an action is marked as ``dry_run``.

    Raises
    ------
    StoreError
        It can't be written; the events before it are intact.
    """
    if is_replay and isinstance(event, ActionEvent):
        event = msgspec.structs.replace(event, dry_run=True)
    line = msgspec.json.encode(event.content if isinstance(event, UnknownEvent) else event) + b"\n"
    try:
        is_new = not store.events.exists()
        handle = os.open(store.events, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # held for one write; released by the kernel
            _append_line(handle, line)
        finally:
            os.close(handle)
        if is_new:
            sync_folder(store.path)
    except OSError as fault:
        raise cannot("write", store.events, fault) from fault


def read_events(store: Store) -> list[Event]:
    """Read all events, oldest first, with their current names; incomplete lines are ignored.

    Raises
    ------
    StoreError
        The file can't be read, or an event of a known kind lacks a field or has an invalid value: ignoring
        it could launch a job twice.
    """
    try:
        lines = store.events.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise cannot("read", store.events, fault) from fault
    events = []
    for number, line in enumerate(lines[:-1], start=1):  # after the last newline is an incomplete line
        try:
            event = _decoded(line)
        except msgspec.ValidationError as fault:
            message = (
                f"{store.events}, line {number}: {fault}; correct it by hand or restore it from a backup"
            )
            raise StoreError(message) from None
        if event is not None:
            events.append(event)
    return events


def _decoded(line: bytes) -> Event | None:
    """Decode a line; None if it is incomplete.

    Raises
    ------
    msgspec.ValidationError
        The kind is known, but the event does not match it.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # incomplete, or written by another version of fmon
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _decoded_from_other_version(content)


def _decoded_from_other_version(content: Any) -> Event | None:
    """Decode an event with the names of an earlier fmon, or of a kind of a later fmon."""
    if not isinstance(content, dict):
        return None
    renamed = {RENAMED_FIELDS.get(name, name): value for name, value in content.items()}
    kind = renamed.get("event")
    renamed["event"] = RENAMED_KINDS.get(kind, kind) if isinstance(kind, str) else kind
    if renamed["event"] not in KINDS:
        return UnknownEvent(content=content)
    event: KnownEvent = msgspec.convert(renamed, KnownEvent)
    return event


def _append_line(handle: int, line: bytes) -> None:
    """Write a line after the last complete one; leave the file unchanged if the disk is full."""
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
