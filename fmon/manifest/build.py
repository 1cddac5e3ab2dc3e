"""Manifests in memory: made of a config, extended by it, and the jobs they own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.manifest.file import read_manifest
from fmon.model import Attempt, Entry, Experiment, Manifest, Price
from fmon.store.folder import Store, stores
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def new_manifest(
    experiment: Experiment,
    experiment_id: str,
    *,
    created_at: datetime,
    is_replay: bool,
    prices: Mapping[str, Price],
    since: datetime | None = None,
) -> Manifest:
    """Make the manifest of an experiment none of whose jobs is known yet.

    Parameters
    ----------
    experiment
        Its config.
    experiment_id
        Name of its store.
    created_at
        When it began [UTC].
    is_replay
        It is made from a recording.
    prices
        By accelerator.
    since
        Jobs submitted before this are not its own.
    """
    return Manifest(
        experiment_id=experiment_id,
        experiment_name=experiment.experiment_name,
        config_file=experiment.config_file,
        created_at=created_at,
        is_replay=is_replay,
        factors=experiment.factors,
        inner_factors=experiment.inner_factors,
        skypilot_yaml=experiment.skypilot_yaml,
        docker_image=experiment.docker_image,
        env_names=experiment.env_names,
        fixed=experiment.fixed,
        kill_switch=experiment.kill_switch,
        max_failed_ratio=experiment.max_failed_ratio,
        mlflow=experiment.mlflow,
        since=since,
        max_conditions=experiment.max_conditions,
        expected_job_count=len(experiment.conditions),
        limits=experiment.limits,
        prices=dict(prices),
        jobs=[
            Entry(
                condition=condition.condition_id,
                kind=condition.kind,
                factors=condition.factors,
                job_name=condition.job_name,
                envs=condition.envs,
                expected_minutes=condition.expected_minutes,
            )
            for condition in experiment.conditions
        ],
    )


def extend(manifest: Manifest, fresh: Manifest) -> None:
    """Take over what the config says now; conditions may be added, never taken away.

    Parameters
    ----------
    manifest
        The experiment.
    fresh
        A manifest made of its config as it is now.

    Raises
    ------
    ConfigError
        Conditions are gone or have another job name.
    """
    old = {entry.condition: entry for entry in manifest.jobs}
    new = {entry.condition: entry for entry in fresh.jobs}
    lost = [name for name, entry in old.items() if name not in new or new[name].job_name != entry.job_name]
    if lost:
        message = (
            f"{manifest.experiment_id} has some of these jobs, but its conditions {listed(lost)} are gone "
            f"from {fresh.config_file} or have another job name; give the new design another experiment_name"
        )
        raise ConfigError(message)
    for name, entry in old.items():
        entry.expected_minutes, entry.envs = new[name].expected_minutes, new[name].envs
    manifest.jobs = [old.get(name, entry) for name, entry in new.items()]
    manifest.expected_job_count = len(new)
    manifest.max_conditions = max(manifest.max_conditions, fresh.max_conditions)
    manifest.factors, manifest.inner_factors = fresh.factors, fresh.inner_factors
    manifest.env_names, manifest.fixed = fresh.env_names, fresh.fixed
    manifest.kill_switch, manifest.max_failed_ratio = fresh.kill_switch, fresh.max_failed_ratio
    manifest.mlflow = fresh.mlflow
    manifest.config_file, manifest.skypilot_yaml = fresh.config_file, fresh.skypilot_yaml


def assign_job(manifest: Manifest, entry: Entry, *, job_id: int, cycle: int) -> None:
    """Give a condition the job of a cycle (in memory); the one of an earlier cycle joins its attempts.

    One that has a job of this cycle or a later one keeps it: a poll may have attached it meanwhile.
    """
    if entry.job_id is not None:
        if entry.relaunch_batch >= cycle:
            return
        entry.attempts = [*entry.attempts, Attempt(cycle=entry.relaunch_batch, job_id=entry.job_id)]
    entry.job_id, entry.relaunch_batch = job_id, cycle
    manifest.current_cycle = max(manifest.current_cycle, cycle)


def jobs_of(manifest: Manifest) -> set[tuple[int, str]]:
    """List (job_id, job name) of all attempts."""
    return {
        (job_id, entry.job_name)
        for entry in manifest.jobs
        for job_id in (entry.job_id, *(attempt.job_id for attempt in entry.attempts))
        if job_id is not None
    }


def owned_elsewhere(store: Store, manifest: Manifest) -> set[tuple[int, str]]:
    """List (job_id, job name) of the attempts of all other live experiments beside this one.

    A replay shares no queue with anybody: it owns nothing of others and they nothing of it.
    """
    if manifest.is_replay:
        return set()
    others = [read_manifest(other) for other in stores(store.path.parent) if other.path != store.path]
    return {job for other in others if not other.is_replay for job in jobs_of(other)}
