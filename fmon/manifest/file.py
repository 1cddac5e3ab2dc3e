"""Read, check and write ``manifest.json``.

In the file each factor is a key of an entry, next to the fixed keys; ``model.Entry`` has a dict of factors.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.errors import ManifestError
from fmon.manifest.check import ENTRY_KEYS, fault_of, name_faults
from fmon.model import Manifest
from fmon.store.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.store.folder import Store

SCHEMA_VERSION = 1
MANIFEST_KEYS = {field.name for field in msgspec.structs.fields(Manifest)}

Json = dict[str, Any]


class _Fault(Exception):  # noqa: N818 - never leaves this module
    """An error in the file, without its name, and what to do about it."""

    def __init__(self, fault: str, hint: str = "correct it by hand or restore it from a backup") -> None:
        super().__init__(fault)
        self.hint = hint


def read_manifest(store: Store) -> Manifest:
    """Read and check the manifest of an experiment.

    Raises
    ------
    ManifestError
        It is missing, unreadable, not valid JSON, written by a newer fmon, or inconsistent; the message
        names the entry and the reason.
    """
    try:
        manifest = _parse(_content(store))
        _refuse(fault_of(manifest, store.experiment_id))
    except _Fault as fault:
        message = f"{store.manifest}: {fault}; {fault.hint}"
        raise ManifestError(message) from None
    return manifest


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Write the manifest atomically; refuse one that ``read_manifest`` would refuse.

    Raises
    ------
    ManifestError
        It is inconsistent; the file is unchanged.
    StoreError
        It can't be written; the file is unchanged.
    """
    try:
        _refuse(fault_of(manifest, store.experiment_id))
    except _Fault as fault:
        message = f"{store.manifest} was not written: {fault}; correct the config and run the command again"
        raise ManifestError(message) from None
    content = msgspec.json.format(msgspec.json.encode(_to_json(manifest)), indent=2)
    write_durably(store.manifest, content + b"\n")


class ManifestFile:
    """The manifest of an experiment, for a process that changes it several times.

    It is only read again if another process has written it: with 120,000 conditions that takes a second.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._manifest: Manifest | None = None
        self._stamp: tuple[int, ...] = ()

    def read(self) -> Manifest:
        """Return the current manifest.

        Raises
        ------
        ManifestError
            As ``read_manifest``.
        """
        stamp = self._stamp_now()  # before reading, so that a change in between is noticed next time
        if self._manifest is None or stamp != self._stamp:
            self._manifest, self._stamp = read_manifest(self._store), stamp
        return self._manifest

    @contextmanager
    def changing(self) -> Iterator[Manifest]:
        """Return the manifest to be changed and written; the caller holds the lock of polls.

        After an error it may be partly changed, so the next one is read from the file.
        """
        try:
            yield self.read()
        except BaseException:
            self._manifest = None
            raise

    def write(self, manifest: Manifest) -> None:
        """Write the manifest; the caller holds the lock of polls."""
        write_manifest(self._store, manifest)
        self._manifest, self._stamp = manifest, self._stamp_now()

    def _stamp_now(self) -> tuple[int, ...]:
        """Return a stamp of the file, which differs after each write."""
        try:
            found = self._store.manifest.stat()
        except OSError:
            return ()  # reading it raises the error
        return found.st_ino, found.st_size, found.st_mtime_ns


def _content(store: Store) -> Json:
    """Read the JSON object in the file."""
    try:
        content = store.manifest.read_bytes()
    except OSError as fault:
        raise _Fault(f"can't be read ({fault.strerror})", "restore it from a backup") from None
    if not content.strip():
        raise _Fault("is empty")
    try:
        decoded = msgspec.json.decode(content)
    except msgspec.DecodeError as fault:
        raise _Fault(f"is not valid JSON: {_place(content) or fault}") from None
    except RecursionError:
        raise _Fault("is not a manifest: it is nested too deeply") from None
    if not isinstance(decoded, dict):
        raise _Fault("is not a manifest: it is not a JSON object")
    return decoded


def _place(content: bytes) -> str | None:
    """Return the reason, line and column of a JSON error; msgspec only counts bytes."""
    try:
        json.loads(content)
    except json.JSONDecodeError as fault:
        return f"{fault.msg}, line {fault.lineno} column {fault.colno}"
    except ValueError:
        return None
    return None


def _parse(content: Json) -> Manifest:
    """Turn the JSON object into a Manifest."""
    version = content.get("schema_version", SCHEMA_VERSION)
    if type(version) is not int or version < 1:
        raise _Fault(f"schema_version is {version!r}, which is not a positive integer")
    if version > SCHEMA_VERSION:
        raise _Fault(
            f"was written by a newer fmon (schema_version {version}, supported {SCHEMA_VERSION})",
            "upgrade fmon",
        )
    _refuse(_unknown(content.keys() - MANIFEST_KEYS, MANIFEST_KEYS))
    factors, jobs = content.get("factors"), content.get("jobs")
    if isinstance(factors, dict) and isinstance(jobs, list):
        names = list(factors)
        _refuse(name_faults(names))
        _refuse(fault for number, entry in enumerate(jobs) for fault in _split(number, entry, names))
    try:
        return msgspec.convert(content, Manifest)
    except msgspec.ValidationError as fault:
        raise _Fault(_where(str(fault), jobs)) from None


def _split(number: int, entry: Any, names: list[str]) -> Iterator[str]:
    """Move an entry's factors into a separate dict, in place."""
    if not isinstance(entry, dict):
        yield f"entry {number + 1} is not a JSON object"
        return
    levels = {name: entry.pop(name) for name in names if name in entry}
    if not entry.keys() <= ENTRY_KEYS:
        unknown = _unknown(entry.keys() - ENTRY_KEYS, {*ENTRY_KEYS, *names})
        yield from (f"{_name(number, entry)}: {fault}" for fault in unknown)
    entry["factors"] = levels


def _unknown(keys: Iterable[str], known: set[str]) -> Iterator[str]:
    for key in sorted(keys):
        near = get_close_matches(key, sorted(known), n=1)
        yield f"unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _where(fault: str, jobs: Any) -> str:
    """Replace msgspec's path in an error by the entry and its condition."""
    reason, _, path = fault.partition(" - at ")
    path = path.strip("`").removeprefix("$").removeprefix(".")
    reason = reason.replace("`", "")
    if match := re.match(r"jobs\[(\d+)\]\.?", path):
        number = int(match[1])
        key = path[match.end() :]
        return f"{_name(number, jobs[number])}: {f'{key}: ' if key else ''}{reason}"
    return f"{path}: {reason}" if path else reason


def _name(number: int, entry: Json) -> str:
    return f"entry {number + 1} (condition {entry.get('condition')!r})"


def _refuse(faults: Iterable[str]) -> None:
    for fault in faults:
        raise _Fault(fault)


def _to_json(manifest: Manifest) -> Json:
    """Convert a Manifest to the JSON object of the file, with the keys in the order of the model."""
    content: Json = msgspec.to_builtins(manifest, builtin_types=[datetime])
    for key in ("created_at", "since", "as_of", "reported_as_of"):
        content[key] = _utc(content[key])
    content["jobs"] = [_entry_to_json(entry) for entry in content["jobs"]]
    return content


def _entry_to_json(entry: Json) -> Json:
    entry["start_time"], entry["end_time"] = _utc(entry["start_time"]), _utc(entry["end_time"])
    first = {"condition": entry.pop("condition"), "kind": entry.pop("kind")}
    return {**first, **entry.pop("factors"), **entry}


def _utc(time: datetime | None) -> datetime | None:
    return time and time.astimezone(UTC)
