"""One experiment, loaded once per command and handed down: store, manifest, config, task, events.

Each file is read when it is first asked for, so that a command that needs no config works without one.
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
        """What the config says, as it is written.

        Raises
        ------
        ConfigError
            It can't be read.
        """
        from fmon.config.source import read_text

        return read_text(self.config)

    @cached_property
    def experiment(self) -> Experiment:
        """The config, checked and expanded; it may have as many conditions as were accepted once.

        Raises
        ------
        ConfigError
            It can't be used.
        """
        from fmon.config import load_experiment  # a parser of YAML; many commands need none

        return load_experiment(
            self.config,
            text=self.config_text,
            # Manifests of before this was kept have the default, and may have more conditions.
            max_conditions=max(self.manifest.max_conditions, len(self.manifest.jobs)),
            needs_task=False,
        )

    @cached_property
    def task(self) -> Task:
        """The task YAML.

        Raises
        ------
        ConfigError
            It is not there, or can't be used.
        """
        from fmon.config.task import read_task

        return read_task(self.experiment)

    def connect(self, queries: Iterable[str], *, now: datetime | None = None) -> duckdb.DuckDBPyConnection:
        """Open views over the experiment as it was loaded and its log as it is now.

        Parameters
        ----------
        queries
            What will be asked; the views for it are made.
        now
            The clock that open jobs are measured by [UTC]; None = the wall clock.
        """
        return open_views(self, now=now, queries=queries)


def open_study(data: Path, experiment: str | None = None) -> Study:
    """Find the experiment that a command is about.

    Parameters
    ----------
    data
        The data directory.
    experiment
        Its id or a unique prefix of it; None = the newest.

    Raises
    ------
    ConfigError
        There is no such experiment, or several.
    """
    return Study(find(data, experiment))
