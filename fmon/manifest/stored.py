"""One experiment as its store has it: manifest and events, each read once and handed down."""

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
    """What a store says of its experiment; each file is read when it is first asked for, and kept.

    Whoever needs it as it is now makes another one, under the lock that keeps it so.
    """

    store: Store

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.store.path.parent

    @property
    def experiment_id(self) -> str:
        """The experiment."""
        return self.store.experiment_id

    @cached_property
    def manifest_file(self) -> ManifestFile:
        """The manifest, for who changes it."""
        return ManifestFile(self.store)

    @cached_property
    def manifest(self) -> Manifest:
        """Which job is which condition.

        Raises
        ------
        ManifestError
            It can't be used.
        """
        return self.manifest_file.read()

    @cached_property
    def events(self) -> list[Event]:
        """The audit, oldest first.

        Raises
        ------
        StoreError
            It can't be read.
        """
        return read_events(self.store)

    def append(self, event: Event) -> None:
        """Add one event to the audit; of a replay it says that nothing was done.

        Raises
        ------
        StoreError
            It can't be written; the events before it are intact.
        """
        append_event(self.store, event, is_replay=self.manifest.is_replay)
