"""One experiment in its store: manifest and events, each read only once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fmon.manifest.file import ManifestFile
from fmon.store.events import append_event, read_events

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.events import Event
    from fmon.model import Manifest
    from fmon.store.folder import Store


@dataclass(frozen=True)
class StoredExperiment:
    """The stored data of an experiment; each file is read on first use, then cached.

    To get the current data, create another object, under the lock that prevents changes.
    """

    store: Store

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.store.path.parent

    @property
    def experiment_id(self) -> str:
        """Id of the experiment."""
        return self.store.experiment_id

    @cached_property
    def manifest_file(self) -> ManifestFile:
        """The manifest, for code that changes it."""
        return ManifestFile(self.store)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest.

        Raises
        ------
        ManifestError
            It can't be used.
        """
        return self.manifest_file.read()

    @cached_property
    def events(self) -> list[Event]:
        """The events of the audit log, oldest first.

        Raises
        ------
        StoreError
            It can't be read.
        """
        return read_events(self.store)

    def append(self, event: Event) -> None:
        """Append one event to the audit log; for a replay, an action is marked as ``dry_run``.

        Raises
        ------
        StoreError
            It can't be written; the events before it are intact.
        """
        append_event(self.store, event, is_replay=self.manifest.is_replay)
