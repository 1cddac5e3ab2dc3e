"""Create manifests from a config, extend them, and list the jobs in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.job_key import job_id_of
from fmon.manifest.file import read_manifest
from fmon.manifest.identity import is_same_job, stored_jobs
from fmon.model import Attempt, Entry, Experiment, Manifest, Price
from fmon.store.folder import Store, stores
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fmon.model import Record


def new_manifest(
    experiment: Experiment,
    experiment_id: str,
    *,
    created_at: datetime,
    is_replay: bool,
    prices: Mapping[str, Price],
    since: datetime | None = None,
) -> Manifest:
    """Return the manifest of an experiment without any known jobs.

    Parameters
    ----------
    experiment
        Its config.
    experiment_id
        Name of its store.
    created_at
        When the experiment began [UTC].
    is_replay
        Whether it is created from a recording.
    prices
        Prices by accelerator.
    since
        Jobs submitted before this time do not belong to it [UTC].
    """
    return Manifest(
        experiment_id=experiment_id,
        experiment_name=experiment.experiment_name,
        config_file=_lasting(experiment.config_file),
        created_at=created_at,
        is_replay=is_replay,
        factors=experiment.factors,
        inner_factors=experiment.inner_factors,
        skypilot_yaml=experiment.skypilot_yaml,
        task=experiment.task,
        study_keys=experiment.study_keys,
        docker_image=experiment.docker_image,
        written_levels=experiment.written_levels,
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
        controller_usd_per_h=experiment.controller_usd_per_h,
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


def _lasting(config_file: str) -> str:
    """Return a config's path so that it is found from every folder.

    Its folder is resolved, but not the file: if that is a link, the task YAML is beside the link.
    """
    path = Path(config_file)
    return str(path.parent.resolve() / path.name)


def extend(manifest: Manifest, fresh: Manifest) -> None:
    """Update a manifest from the current config; conditions may be added, never removed.

    Parameters
    ----------
    manifest
        The experiment.
    fresh
        A manifest created from the current config.

    Raises
    ------
    ConfigError
        Conditions are missing from the config or have another job name.
    """
    old = {entry.condition: entry for entry in manifest.jobs}
    new = {entry.condition: entry for entry in fresh.jobs}
    lost = [name for name, entry in old.items() if name not in new or new[name].job_name != entry.job_name]
    if lost:
        message = (
            f"{manifest.experiment_id} has some of these jobs, but its conditions {listed(lost)} are missing "
            f"from {fresh.config_file} or have another job name; use a new experiment_name for a new design"
        )
        raise ConfigError(message)
    for name, entry in old.items():
        # An older fmon read 1e-4 as text; the condition and its job are the same.
        entry.factors = new[name].factors
        entry.expected_minutes, entry.envs = new[name].expected_minutes, new[name].envs
    manifest.jobs = [old.get(name, entry) for name, entry in new.items()]
    manifest.expected_job_count = len(new)
    manifest.max_conditions = max(manifest.max_conditions, fresh.max_conditions)
    manifest.factors, manifest.inner_factors = fresh.factors, fresh.inner_factors
    manifest.written_levels = fresh.written_levels
    manifest.env_names, manifest.fixed = fresh.env_names, fresh.fixed
    manifest.kill_switch, manifest.max_failed_ratio = fresh.kill_switch, fresh.max_failed_ratio
    manifest.mlflow = fresh.mlflow
    manifest.api_servers = manifest.api_servers or fresh.api_servers
    manifest.task, manifest.study_keys = fresh.task, fresh.study_keys
    manifest.config_file, manifest.skypilot_yaml = fresh.config_file, fresh.skypilot_yaml


def assign_job(manifest: Manifest, entry: Entry, *, job_key: int, cycle: int) -> None:
    """Assign the job of a cycle to a condition in memory; an earlier cycle's job becomes an earlier attempt.

    A job of this cycle or a later one is kept: a poll may have attached it in the meantime.
    """
    if entry.job_key is not None:
        if entry.relaunch_batch >= cycle:
            return
        entry.attempts = [*entry.attempts, Attempt.of(entry.job_key, cycle=entry.relaunch_batch)]
    entry.job_key, entry.relaunch_batch = job_key, cycle
    manifest.current_cycle = max(manifest.current_cycle, cycle)


def jobs_of(manifest: Manifest) -> set[tuple[int, str]]:
    """Return (job_key, job name) of all attempts."""
    return {
        (key, manifest.adopted_names.get(str(key), entry.job_name))
        for entry in manifest.jobs
        for key in entry.job_keys
    }


def owned_elsewhere(store: Store, manifest: Manifest, records: Iterable[Record]) -> set[tuple[int, str]]:
    """Return (job_id, job name) of the jobs of the queue that are attempts of other live experiments.

    A replay shares no queue with other experiments, so it has no jobs in common with them.
    """
    if manifest.is_replay:
        return set()
    tasks: dict[tuple[int, str], list[Record]] = {}
    for record in records:
        tasks.setdefault((record.job_id, record.job_name or ""), []).append(record)
    owned: set[tuple[int, str]] = set()
    for other in stores(store.path.parent):
        if other.path == store.path:
            continue
        its_manifest = read_manifest(other)
        if its_manifest.is_replay:
            continue
        keys = {(job_id_of(key), name): key for key, name in sorted(jobs_of(its_manifest))}
        listed = keys.keys() & tasks.keys()
        seen = {job.key: job for jobs in stored_jobs(other).values() for job in jobs} if listed else {}
        # Without a poll that has shown it, only the id and the name can be compared.
        owned |= {job for job in listed if keys[job] not in seen or is_same_job(seen[keys[job]], tasks[job])}
    return owned
