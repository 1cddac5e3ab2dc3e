"""Conditions that have no job yet, and whether they will still be submitted.

``fmon launch --watch`` and ``fmon run`` submit them; ``fmon watch`` and ``fmon status`` only count them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from fmon.manifest.stored import StoredExperiment


@dataclass(frozen=True, kw_only=True)
class Queued:
    """The conditions without a job.

    Attributes
    ----------
    count
        How many there are, at least one.
    config_file
        The experiment's config.
    until
        Time until which they are submitted; None = they are not.
    """

    count: int
    config_file: str
    until: datetime | None

    def is_awaited(self, now: datetime) -> bool:
        """Return whether they may still get a job without a new command."""
        return self.until is not None and now < self.until

    @property
    def command(self) -> str:
        """The command that submits them."""
        return f"fmon launch {shlex.quote(self.config_file)}"

    @property
    def sentence(self) -> str:
        """How many there are, and the next command."""
        return f"{self.count:,} not submitted; next: {self.command}"


def queued(stored: StoredExperiment, missing_count: int) -> Queued | None:
    """Return the conditions without a job; None if there are none, or if launching would not continue.

    Parameters
    ----------
    stored
        The experiment.
    missing_count
        Number of its conditions that never had a job.
    """
    if not missing_count or stored.store.is_closed or stored.manifest.is_replay:
        return None
    manifest = stored.manifest
    return Queued(count=missing_count, config_file=manifest.config_file, until=manifest.submit_until)
