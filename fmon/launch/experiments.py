"""What a launch starts from: the config with its task, and the experiments of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.manifest.file import read_manifest
from fmon.model import MAX_CONDITIONS
from fmon.store.folder import Store, stores

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from pathlib import Path

    from fmon.config.task import Task
    from fmon.launch.arguments import LaunchOptions
    from fmon.model import Condition, Experiment, Manifest


def read_inputs(path: Path, options: LaunchOptions, *, max_conditions: int) -> tuple[Experiment, Task]:
    """Read a config and its task.

    Raises
    ------
    ConfigError
        One of them can't be used.
    """
    experiment = load_experiment(path, task=options.task, max_conditions=max_conditions)
    return experiment, read_task(experiment)


def without_job(
    experiment: Experiment, manifest: Manifest, *, leave_out: Collection[str] = ()
) -> list[Condition]:
    """Return the conditions without a job, in the order of the config, except those to leave out."""
    without = {entry.condition for entry in manifest.jobs if entry.job_id is None}.difference(leave_out)
    return [each for each in experiment.conditions if each.condition_id in without]


def newest_of(
    data: Path, path: Path, task: Path | None, *, max_conditions: int = MAX_CONDITIONS
) -> str | None:
    """Return the newest experiment of a config; None = there is none."""
    name = load_experiment(path, task=task, max_conditions=max_conditions).experiment_name
    return next((store.experiment_id for store in reversed(launched_as(data, name))), None)


def launched_as(data: Path, experiment_name: str) -> list[Store]:
    """List the experiments of a name, except replays."""
    return [
        store
        for store in stores(data)
        if store.experiment_id.rpartition("-")[0] == experiment_name and not read_manifest(store).is_replay
    ]


def store_at(data: Path, experiment: Experiment, at: datetime) -> Store:
    """Return the store that an experiment created at a time would have."""
    return Store(data / f"{experiment.experiment_name}-{at:%Y%m%dT%H%M%SZ}")
