"""Show what a launch would do: its checks and one command per job. Contacts no server, writes nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmon.launch.environment import environment_of
from fmon.launch.estimate import cost_of, estimate
from fmon.launch.experiments import launched_as, read_inputs, store_at, without_job
from fmon.launch.job_yaml import JobWriter
from fmon.launch.outcome import Launched
from fmon.launch.preflight import checks, parse_apart, parse_kinds
from fmon.launch.preflight_commands import commands_before
from fmon.launch.refusals import refuse_failed
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
    experiment, task = read_inputs(path, options, max_conditions=max_conditions)
    store, manifest, is_new = _experiment(data, experiment, now=dependencies.clock.now())
    missing = without_job(experiment, manifest)
    environment = environment_of(manifest, options.env_file, dependencies.environ)
    writer = JobWriter(task, experiment, store.experiment_id, environment)
    found = estimate(experiment, task, catalog=dependencies.catalog)
    results = checks(
        experiment,
        task,
        found,
        parse=partial(
            parse_kinds, partial(parse_apart, ask=dependencies.ask), writer, experiment.conditions, cycle=0
        ),
        environment=environment,
        folder=dependencies.folder,
        consent=options.consent,
    )
    refuse_failed(results)
    return Launched(
        experiment_id=store.experiment_id,
        is_new=is_new,
        is_dry=True,
        condition_count=len(manifest.jobs),
        had_count=len(manifest.jobs) - len(missing),
        preflight=commands_before(experiment) if missing else [],
        checks=results,
        cost_usd=cost_of(missing, task, found.prices).cost_usd,
        commands=[writer.command(each, 0) for each in missing],
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
