"""Show what a launch would do: its checks and one command per job. Contacts no server, writes nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.environment import environment_of
from fmon.launch.estimate import cost_of, estimate
from fmon.launch.launch import commands_of, launched_as, store_at
from fmon.launch.outcome import Launched
from fmon.launch.preflight import checks, parse_task
from fmon.launch.refusals import refuse_bare_vm, refuse_failed, refuse_job_names
from fmon.manifest.build import extend, new_manifest
from fmon.manifest.file import read_manifest
from fmon.model import MAX_CONDITIONS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from fmon.launch.arguments import LaunchDependencies, LaunchOptions
    from fmon.model import Experiment, Manifest
    from fmon.store.folder import Store


def dry_run(
    path: Path,
    data: Path,
    dependencies: LaunchDependencies,
    options: LaunchOptions,
    *,
    max_conditions: int = MAX_CONDITIONS,
) -> Launched:
    """Return what ``launch`` would do, based on local data only.

    Parameters
    ----------
    path
        The experiment's config.
    data
        Data directory; it need not exist.
    dependencies, options
        External services, of which only the price catalog and SkyPilot's parser are used, and the options.
    max_conditions
        Maximum number of conditions of the config.

    Raises
    ------
    ConfigError
        A check failed.
    """
    experiment = load_experiment(path, task=options.task, max_conditions=max_conditions)
    refuse_job_names(experiment)
    task = read_task(experiment)
    refuse_bare_vm(experiment, task, is_allowed=options.allow_bare_vm)
    store, manifest, is_new = _experiment(data, experiment, now=dependencies.clock.now())
    without = {entry.condition for entry in manifest.jobs if entry.job_id is None}
    missing = [each for each in experiment.conditions if each.condition_id in without]
    environment = environment_of(manifest, options.env_file, dependencies.environ)
    found = estimate(experiment, task, catalog=dependencies.catalog)
    results = checks(
        experiment,
        task,
        found,
        parse=partial(parse_task, ask=dependencies.ask),
        environment=environment,
        folder=dependencies.folder,
    )
    refuse_failed(results)
    return Launched(
        experiment_id=store.experiment_id,
        is_new=is_new,
        is_dry=True,
        condition_count=len(manifest.jobs),
        had_count=len(manifest.jobs) - len(missing),
        checks=results,
        cost_usd=cost_of(missing, task, found.prices).cost_usd,
        commands=commands_of(experiment, task, missing, environment, experiment_id=store.experiment_id),
    )


def _experiment(data: Path, experiment: Experiment, *, now: datetime) -> tuple[Store, Manifest, bool]:
    """Return the open experiment of this name as it is stored, or a new one in memory."""
    known = launched_as(data, experiment.experiment_name)
    store, is_new = store_at(data, experiment, now), True
    if known and not known[-1].is_closed:
        store, is_new = known[-1], False
    fresh = new_manifest(experiment, store.experiment_id, created_at=now, is_replay=False, prices={})
    if is_new:
        return store, fresh, True
    manifest = read_manifest(store)
    extend(manifest, fresh)
    return store, manifest, False
