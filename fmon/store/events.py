"""``events.jsonl``: the append-only audit of an experiment.

One JSON object a line, of the kinds in ``fmon.events``. A line without its newline was never acknowledged:
a crash tore it. Readers leave it out, the next writer starts a new line behind it.
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
"""Names that early stores were written with, and what they are read as: events are never rewritten."""

KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(KnownEvent))

_decoder: msgspec.json.Decoder[KnownEvent] = msgspec.json.Decoder(KnownEvent)


def append_event(store: Store, event: Event, *, is_replay: bool = False) -> None:
    """Add one event; when this returns it survives a power cut.

    Parameters
    ----------
    store
        The experiment.
    event
        What happened.
    is_replay
        Whether the experiment is a replay: an action is then marked as ``dry_run``.

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
            fcntl.flock(handle, fcntl.LOCK_EX)  # held for one write; freed by the kernel
            _append_line(handle, line)
        finally:
            os.close(handle)
        if is_new:
            sync_folder(store.path)
    except OSError as fault:
        raise cannot("write", store.events, fault) from fault


def read_events(store: Store) -> list[Event]:
    """Read all events, oldest first, by their names of today; torn lines are left out.

    Raises
    ------
    StoreError
        The file can't be read, or an event of a known kind lacks a field or has a wrong value: to leave it
        out could launch a job twice.
    """
    try:
        lines = store.events.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise cannot("read", store.events, fault) from fault
    events = []
    for number, line in enumerate(lines[:-1], start=1):  # behind the last newline is what a crash left
        try:
            event = _decoded(line)
        except msgspec.ValidationError as fault:
            message = (
                f"{store.events}: line {number}: {fault}; correct it by hand or restore it from a backup"
            )
            raise StoreError(message) from None
        if event is not None:
            events.append(event)
    return events


def _decoded(line: bytes) -> Event | None:
    """Decode a line; None where it is torn.

    Raises
    ------
    msgspec.ValidationError
        The kind is known, and the event is not as this kind must be.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # torn, or of another version of fmon
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _decoded_otherwise(content)


def _decoded_otherwise(content: Any) -> Event | None:
    """Decode an event of an earlier fmon's names, or of a later fmon's kinds."""
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
