"""One experiment, loaded once per command and passed on: store, manifest, config, task, events.

Each file is read on first use, so that a command that needs no config works without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fmon.manifest.stored import StoredExperiment
from fmon.store.folder import find
from fmon.warehouse import open_views

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import duckdb

    from fmon.config.task import Task
    from fmon.model import Experiment


@dataclass(frozen=True)
class Study(StoredExperiment):
    """An experiment with its config as it is now.

    Attributes
    ----------
    store
        The folder of the experiment.
    """

    @property
    def config(self) -> Path:
        """The config file that the experiment was launched or adopted with."""
        return Path(self.manifest.config_file)

    @cached_property
    def config_text(self) -> str:
        """The text of the config file.

        Raises
        ------
        ConfigError
            It can't be read.
        """
        from fmon.config.source import read_text

        return read_text(self.config)

    @cached_property
    def experiment(self) -> Experiment:
        """The config, checked and expanded, with the limit of conditions with which it was accepted.

        Raises
        ------
        ConfigError
            It can't be used.
        """
        from fmon.config import load_experiment  # loads a YAML parser; many commands need none

        return load_experiment(
            self.config,
            text=self.config_text,
            task=Path(self.manifest.task) if self.manifest.task else None,
            # Manifests written before the limit was recorded have the default, and may have more conditions.
            max_conditions=max(self.manifest.max_conditions, len(self.manifest.jobs)),
            needs_task=False,
        )

    @cached_property
    def task(self) -> Task:
        """The task YAML.

        Raises
        ------
        ConfigError
            It is missing or can't be used.
        """
        from fmon.config.task import read_task

        return read_task(self.experiment)

    def connect(self, queries: Iterable[str], *, now: datetime | None = None) -> duckdb.DuckDBPyConnection:
        """Open the views over the experiment as loaded and its log as of now.

        Parameters
        ----------
        queries
            The queries to run; the views that they need are created.
        now
            Time up to which open jobs are measured [UTC]; None = the wall clock.
        """
        return open_views(self, now=now, queries=queries)


def open_study(data: Path, experiment: str | None = None) -> Study:
    """Return the experiment that a command is about.

    Parameters
    ----------
    data
        Data directory.
    experiment
        Experiment id or unique prefix; None = the newest.

    Raises
    ------
    ConfigError
        No experiment matches, or several do.
    """
    return Study(find(data, experiment))
