"""Phase 1 for jobs that are already running: match jobs to conditions.

Reads the config and the queue once; writes the experiment's manifest, its first poll and the event.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.errors import ConfigError, QueueError
from fmon.events import AdoptEvent
from fmon.job_key import job_id_of
from fmon.launch.adopt_image import images_of_jobs, record_image, task_of_jobs
from fmon.launch.adopted import Adopted
from fmon.launch.estimate import cost_of
from fmon.launch.preflight import accelerator_check, image_check
from fmon.launch.recorded import Rejected, Sorted, contradictions, ids_to_ask, sort_by_variables
from fmon.manifest.api_server import note_server, refuse_other_server
from fmon.manifest.build import extend, jobs_of, new_manifest, owned_elsewhere
from fmon.manifest.file import read_manifest, write_manifest
from fmon.manifest.identity import identify, stored_jobs
from fmon.manifest.match import Match, attach, match
from fmon.model import MAX_CONDITIONS
from fmon.monitor.ingest import ended_jobs, store_records
from fmon.monitor.kill_switch import check_again
from fmon.monitor.refresh import refresh_held
from fmon.sky.prices import catalog_prices, parse_resources
from fmon.sky.reader import spec_batches
from fmon.store import variable_checks
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import POLL_WAIT_S, Store, poll_lock, stores
from fmon.store.unexamined import mark_pending
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fmon.config.task import Task
    from fmon.launch.check import Check
    from fmon.model import Experiment, Manifest, Record
    from fmon.sky.prices import Catalog
    from fmon.sky.reader import Answer, JobSpec, QueueReader

_ID = re.compile(r"(?P<name>.+)-(?P<start>[0-9]{8}T[0-9]{6})Z")


def adopt(
    path: Path,
    queue: QueueReader,
    data: Path,
    *,
    task_file: Path | None = None,
    since: datetime | None = None,
    now: datetime,
    max_conditions: int = MAX_CONDITIONS,
    catalog: Catalog = catalog_prices,
    digest_of: Callable[[str], str] | None = None,
    allow_bare_vm: bool = False,
    by: str | None = None,
) -> Adopted:
    """Create an experiment from jobs that are already running; adopting again only adds new jobs.

    Jobs are matched by the variables that SkyPilot recorded, then by their names. The task YAML need not
    exist.

    Parameters
    ----------
    path
        The experiment's config.
    queue
        The queue to read the jobs from.
    data
        Data directory.
    task_file
        The task YAML to use instead of the config's.
    since
        Ignore jobs submitted before this time.
    now
        The clock [UTC], part of the experiment's id.
    max_conditions
        Maximum number of conditions of the config.
    catalog
        Returns SkyPilot's prices of accelerators.
    digest_of
        Returns the digest of an image from its registry; None = do not ask.
    allow_bare_vm
        Record that a person allows jobs without a container image: F3 then requires none.
    by
        That person.

    Raises
    ------
    ConfigError
        The config is wrong, no job matches it, the jobs run with other variables, or it is ambiguous which
        user's jobs are meant.
    QueueError
        The queue did not answer; nothing is written.
    """
    experiment = load_experiment(
        path, task=task_file, needs_task=task_file is not None, max_conditions=max_conditions
    )
    data.mkdir(parents=True, exist_ok=True)
    with lock(poll_lock(data), wait_s=POLL_WAIT_S):
        answer = queue.read()
        store, manifest, is_new = _experiment(data, experiment, answer.records, since=since, now=now)
        if not is_new:
            refuse_other_server(store, manifest, answer)
        owned = owned_elsewhere(store, manifest, answer.records)
        specs, warnings = _specs(queue, manifest, answer.records)
        by_variables = sort_by_variables(manifest, answer.records, specs, owned_elsewhere=owned)
        _refuse_contradicted(by_variables, manifest)
        _keep_decisions(manifest, by_variables, answer.records)
        found = _match(
            manifest, by_variables, answer.records, owned=owned, stored={} if is_new else ended_jobs(store)
        )
        _refuse_unclear(found, manifest, answer, queue.name, rejected=by_variables.rejected)
        own_specs = [specs[record.job_id] for record in found.own if record.job_id in specs]
        task, no_task = task_of_jobs(experiment, own_specs)
        _refresh(manifest, experiment, task, found, catalog=catalog)
        images = images_of_jobs(experiment, task, own_specs)
        known_digest = manifest.docker_digest
        image_warnings = record_image(manifest, images, digest_of)
        is_bare_vm = allow_bare_vm and not images
        note_server(store, manifest, answer, has_own=bool(found.attach))
        attach(manifest, found)
        write_manifest(store, manifest)
        store.reopen()
        keys = {each.condition_id: each.job_key for each in found.attach}
        attached = {condition: job_id_of(key) for condition, key in keys.items()}
        if is_new or attached or is_bare_vm or manifest.docker_digest != known_digest:
            event = AdoptEvent(
                at=now,
                config=str(path),
                source=queue.name,
                jobs=attached,
                image=manifest.docker_image,
                digest=manifest.docker_digest,
                is_digest_assumed=manifest.docker_digest != known_digest
                and manifest.docker_digest_source == "assumed_at_adoption",
                is_bare_vm=is_bare_vm,
                by=by if is_bare_vm else None,
            )
            append_event(store, event)
        stored = store_records(store, manifest, found, answer, source=queue.name, now=now)
        with lock(store.lock_file, wait_s=POLL_WAIT_S):
            variable_checks.check_again(store)  # the variables in the config may have changed
            mark_pending(store)  # the config's patterns and max_failed_ratio may have changed
            check_again(store)
        if not stored.is_closed:  # else it has just been done
            refresh_held(store, now=answer.polled_at)
    return Adopted(
        experiment_id=store.experiment_id,
        is_new=is_new,
        condition_count=len(manifest.jobs),
        attached=attached,
        superseded=sorted(earlier.job_id for each in found.attach for earlier in each.earlier),
        duplicates={name: [*map(job_id_of, keys)] for name, keys in found.duplicates.items()},
        missing=found.missing,
        strangers=found.strangers,
        by_variables={
            condition: name
            for condition, key in keys.items()
            if (name := manifest.adopted_names.get(str(key)))
        },
        rejected=[each.sentence() for each in by_variables.rejected],
        warnings=[
            *warnings,
            *no_task,
            *image_warnings,
            *_warnings(experiment, task, found, is_bare_vm=is_bare_vm),
        ],
        bad=answer.bad,
    )


def _specs(
    queue: QueueReader, manifest: Manifest, records: list[Record]
) -> tuple[dict[int, JobSpec], list[str]]:
    """Ask what SkyPilot recorded for the jobs; for other names only if conditions lack a job."""
    named, others = ids_to_ask(manifest, records)
    specs: dict[int, JobSpec] = {}
    try:
        for ids in spec_batches(named):
            specs |= queue.read_specs(ids)
        if len(sort_by_variables(manifest, records, specs).agreeing) < len(manifest.jobs):
            for ids in spec_batches(others):
                specs |= queue.read_specs(ids)
    except QueueError as fault:
        warning = f"jobs were matched by name only: their variables could not be read ({fault})"
        return specs, [f"{warning}; fmon poll will compare them"]
    return specs, []


def _refuse_contradicted(found: Sorted, manifest: Manifest) -> None:
    """Raise an error if the jobs were launched with another config."""
    for sentence in contradictions(manifest, found):
        message = (
            f"{manifest.config_file} is not the config of these jobs: {sentence}; adopt them with the "
            "config that they were launched with, or with the one that fmon init proposes"
        )
        raise ConfigError(message)


def _keep_decisions(manifest: Manifest, found: Sorted, records: list[Record]) -> None:
    """Store in the manifest what polls can't find out by themselves."""
    names = {record.job_key: record.job_name or "" for record in records}
    for key in found.renamed:
        manifest.adopted_names[str(key)] = names[key]
    kept = {key: name for key, name in manifest.rejected_jobs.items() if int(key) not in names}
    manifest.rejected_jobs = kept | {str(each.job_key): each.job_name for each in found.rejected}


def _match(
    manifest: Manifest,
    by_variables: Sorted,
    records: list[Record],
    *,
    owned: set[tuple[int, str]],
    stored: dict[int, bool],
) -> Match:
    """Match the jobs under the names of the conditions that their variables say; return the real records."""
    found = match(manifest, by_variables.records, owned_elsewhere=owned, stored=stored, replaces_ended=True)
    own = {(record.job_key, record.task_id) for record in found.own}
    found.own[:] = [record for record in records if (record.job_key, record.task_id) in own]
    others = {str(record.job_key) for record in records} - {str(key) for key, _ in own}
    manifest.adopted_names = {k: name for k, name in manifest.adopted_names.items() if k not in others}
    found.strangers.extend(each.job_name for each in by_variables.rejected)
    return found


def _experiment(
    data: Path, experiment: Experiment, records: list[Record], *, since: datetime | None, now: datetime
) -> tuple[Store, Manifest, bool]:
    """Return the experiment of these jobs, found or created, and whether it is new."""
    created_at = _recorded_start(experiment, records) or now
    fresh = new_manifest(
        experiment,
        f"{experiment.experiment_name}-{created_at:%Y%m%dT%H%M%SZ}",
        created_at=created_at,
        is_replay=False,
        prices={},
        since=since,
    )
    names = {entry.job_name for entry in fresh.jobs}
    for store in reversed(stores(data)):  # the newest of several comes first
        if store.experiment_id.rpartition("-")[0] != fresh.experiment_name:
            continue
        manifest = read_manifest(store)
        identify(records, stored_jobs(store), manifest)
        jobs = {(record.job_key, record.job_name) for record in records}
        named = {job for job in jobs if job[1] in names}
        adopted = {(int(key), name) for key, name in manifest.adopted_names.items()}
        is_same = manifest.experiment_id == fresh.experiment_id or not jobs_of(manifest).isdisjoint(
            named | (jobs & adopted)
        )
        if is_same and not manifest.is_replay:
            extend(manifest, fresh)
            manifest.since = since or manifest.since
            return store, manifest, False
    identify(records, {}, fresh)
    return Store(data / fresh.experiment_id), fresh, True


def _recorded_start(experiment: Experiment, records: list[Record]) -> datetime | None:
    """Return the start of the newest experiment for which fmon launched these jobs; None if it did not.

    Its store may be lost with its machine, but the jobs still carry the id of their experiment.
    """
    conditions = {condition.condition_id for condition in experiment.conditions}
    names = {condition.job_name for condition in experiment.conditions}
    if any(record.job_name in names and record.fmon_experiment is None for record in records):
        return None
    starts = (
        _start_of(record.fmon_experiment or "", experiment.experiment_name)
        for record in records
        if record.fmon_condition in conditions
    )
    return max((start for start in starts if start), default=None)


def _start_of(experiment_id: str, name: str) -> datetime | None:
    """Return the time in an id of ``name``; None if it is not such an id: jobs can carry any text."""
    found = _ID.fullmatch(experiment_id)
    if found is None or found["name"] != name:
        return None
    try:
        return datetime.strptime(f"{found['start']}+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None


def _refuse_unclear(
    found: Match, manifest: Manifest, answer: Answer, source: str, *, rejected: list[Rejected]
) -> None:
    """Raise an error if it is not clear which jobs are meant."""
    if found.ambiguous:
        message = (
            f"jobs of several users have the names of {manifest.config_file} ({listed(found.ambiguous)}) and "
            "none is yours; set SKYPILOT_USER_ID to the user whose jobs are meant"
        )
        raise ConfigError(message)
    if found.own:
        return
    if rejected:
        raise ConfigError(
            f"no job matches {manifest.config_file}: {listed(each.sentence() for each in rejected)}"
        )
    expected = dict.fromkeys(entry.job_name for entry in manifest.jobs)
    seen = list(dict.fromkeys(record.job_name or f"job {record.job_id}" for record in answer.records))
    if any(name in expected for name in seen):
        message = (
            f"the jobs named as in {manifest.config_file} belong to another user or experiment, or are older "
            f"than --since: {listed(name for name in seen if name in expected)}; "
            "adopt them with their own config"
        )
        raise ConfigError(message)
    message = (
        f"no job in the queue ({source}) has the name of a condition of {manifest.config_file}: expected "
        f"{listed(expected, 3)}; the queue has {listed(seen, 3) or 'none'}; correct job_name"
    )
    raise ConfigError(message)


def _refresh(
    manifest: Manifest, experiment: Experiment, task: Task | None, found: Match, *, catalog: Catalog
) -> None:
    """Update limits, prices and estimate; ask the catalog for machines without a price."""
    prices = {name: price for name, price in manifest.prices.items() if price.source != "config"}
    prices |= experiment.prices
    known = {name.lower() for name in prices}
    manifest.prices = catalog(name for name in _accelerators(found) if name.lower() not in known) | prices
    manifest.limits = experiment.limits
    manifest.controller_usd_per_h = experiment.controller_usd_per_h
    if task is not None:
        manifest.total_estimated_cost = cost_of(experiment.conditions, task, manifest.prices).cost_usd


def _accelerators(found: Match) -> set[str]:
    """Name the accelerators of the experiment's jobs: those of their machines, otherwise those requested."""
    texts = {record.machine or record.resources for record in found.own}
    machines = [parse_resources(text) for text in texts if text]
    return {name for machine in machines if machine for name, _ in machine.choices}


def _warnings(experiment: Experiment, task: Task | None, found: Match, *, is_bare_vm: bool) -> list[str]:
    """Return what launch would have refused: these jobs are already running."""
    checks: list[Check] = [
        *([image_check(task, experiment.docker_image)] if task and not is_bare_vm else []),
        accelerator_check(sorted(_accelerators(found)), experiment.limits),
    ]
    return [check.sentence for check in checks if check.result != "ok"]
