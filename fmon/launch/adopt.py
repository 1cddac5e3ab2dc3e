"""Phase 1 for jobs that are already running: match jobs to conditions.

Reads the config and the queue once; writes the experiment's manifest, its first poll and the event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import image_of, read_task
from fmon.errors import ConfigError
from fmon.events import AdoptEvent
from fmon.launch.estimate import cost_of
from fmon.launch.preflight import accelerator_check, image_check
from fmon.manifest.build import extend, jobs_of, new_manifest, owned_elsewhere
from fmon.manifest.file import read_manifest, write_manifest
from fmon.manifest.match import Match, attach, match
from fmon.model import MAX_CONDITIONS
from fmon.monitor.ingest import store_records, stored_jobs
from fmon.monitor.kill_switch import check_again
from fmon.monitor.refresh import refresh_held
from fmon.sky.prices import catalog_prices, parse_resources
from fmon.store import variable_checks
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import POLL_WAIT_S, Store, poll_lock, stores
from fmon.store.unexamined import mark_pending
from fmon.text import listed

if TYPE_CHECKING:
    from pathlib import Path

    from fmon.config.task import Task
    from fmon.launch.check import Check
    from fmon.model import Experiment, Manifest, Record
    from fmon.sky.prices import Catalog
    from fmon.sky.reader import Answer, QueueReader

_ID = re.compile(r"(?P<name>.+)-(?P<start>[0-9]{8}T[0-9]{6})Z")


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """The result of adopting.

    Attributes
    ----------
    is_new
        The experiment was created; otherwise one that had some of these jobs was updated.
    attached
        Newly attached jobs, by condition.
    superseded
        Earlier ended jobs of the same conditions.
    duplicates
        Other jobs, by condition.
    missing
        Conditions without a job.
    strangers
        Names of all other jobs in the queue.
    warnings
        What launch would have refused.
    bad
        One sentence per invalid queue record.
    """

    experiment_id: str
    is_new: bool
    condition_count: int
    attached: dict[str, int] = field(default_factory=dict)
    superseded: list[int] = field(default_factory=list)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return what was found, for stderr."""
        have = self.condition_count - len(self.missing)
        kind = "adopted" if self.is_new else "already known, updated"
        sentences = [
            f"{self.experiment_id}: {kind}; {have} of {self.condition_count} conditions have a job, "
            f"{len(self.attached)} of them new"
        ]
        if self.missing:
            sentences.append(f"{len(self.missing)} conditions without a job: {listed(self.missing)}")
        for condition, jobs in self.duplicates.items():
            sentences.append(
                f"{condition} also has job {listed(map(str, jobs))}: you pay for the same condition twice"
            )
        if self.superseded:
            sentences.append(
                f"{len(self.superseded)} earlier jobs of these conditions have ended; the newest counts"
            )
        if self.strangers:
            sentences.append(f"{len(self.strangers)} other jobs in the queue: {listed(self.strangers)}")
        return [*sentences, *(f"warning: {warning}" for warning in self.warnings)]


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
) -> Adopted:
    """Create an experiment from jobs that are already running; adopting again only adds new jobs.

    Parameters
    ----------
    path
        The experiment's config.
    queue
        The queue to read the jobs from.
    data
        Data directory.
    task_file
        The task YAML, if it is not the config's own.
    since
        Ignore jobs submitted before this time.
    now
        The clock [UTC], part of the experiment's id.
    max_conditions
        Maximum number of conditions of the config.
    catalog
        Returns SkyPilot's prices of accelerators.

    Raises
    ------
    ConfigError
        The config is wrong, no job matches it, or it is ambiguous which user's jobs are meant.
    QueueError
        The queue did not answer; nothing is written.
    """
    experiment = load_experiment(path, task=task_file, max_conditions=max_conditions)
    task = read_task(experiment)
    data.mkdir(parents=True, exist_ok=True)
    with lock(poll_lock(data), wait_s=POLL_WAIT_S):
        answer = queue.read()
        store, manifest, is_new = _experiment(data, experiment, answer.records, since=since, now=now)
        found = match(
            manifest,
            answer.records,
            owned_elsewhere=owned_elsewhere(store, manifest),
            stored={} if is_new else stored_jobs(store),
            replaces_ended=True,
        )
        _refuse_unclear(found, manifest, answer, queue.name)
        _refresh(manifest, experiment, task, found, catalog=catalog)
        attach(manifest, found)
        write_manifest(store, manifest)
        store.reopen()
        attached = {each.condition_id: each.job_id for each in found.attach}
        if is_new or attached:
            append_event(store, AdoptEvent(at=now, config=str(path), source=queue.name, jobs=attached))
        stored = store_records(store, manifest, found, answer, source=queue.name)
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
        duplicates=found.duplicates,
        missing=found.missing,
        strangers=found.strangers,
        warnings=_warnings(experiment, task, found),
        bad=answer.bad,
    )


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
    jobs = {(record.job_id, record.job_name) for record in records if record.job_name in names}
    for store in reversed(stores(data)):  # the newest of several comes first
        if store.experiment_id.rpartition("-")[0] != fresh.experiment_name:
            continue
        manifest = read_manifest(store)
        is_same = manifest.experiment_id == fresh.experiment_id or not jobs.isdisjoint(jobs_of(manifest))
        if is_same and not manifest.is_replay:
            extend(manifest, fresh)
            manifest.since = since or manifest.since
            return store, manifest, False
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


def _refuse_unclear(found: Match, manifest: Manifest, answer: Answer, source: str) -> None:
    """Raise an error if it is not clear which jobs are meant."""
    if found.ambiguous:
        message = (
            f"jobs of several users have the names of {manifest.config_file} ({listed(found.ambiguous)}) and "
            "none is yours; set SKYPILOT_USER_ID to the user whose jobs are meant"
        )
        raise ConfigError(message)
    if found.own:
        return
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
    manifest: Manifest, experiment: Experiment, task: Task, found: Match, *, catalog: Catalog
) -> None:
    """Update limits, prices, image and estimate; ask the catalog for machines without a price."""
    prices = {name: price for name, price in manifest.prices.items() if price.source != "config"}
    prices |= experiment.prices
    known = {name.lower() for name in prices}
    manifest.prices = catalog(name for name in _accelerators(found) if name.lower() not in known) | prices
    manifest.limits = experiment.limits
    manifest.docker_image = image_of(experiment, task)
    manifest.total_estimated_cost = cost_of(experiment.conditions, task, manifest.prices).cost_usd


def _accelerators(found: Match) -> set[str]:
    """Name the accelerators of the experiment's jobs."""
    machines = {
        record.resources: parse_resources(record.resources) for record in found.own if record.resources
    }
    return {name for machine in machines.values() if machine for name, _ in machine.choices}


def _warnings(experiment: Experiment, task: Task, found: Match) -> list[str]:
    """Return what launch would have refused: these jobs are already running."""
    checks: list[Check] = [
        image_check(task, experiment.docker_image),
        accelerator_check(_accelerators(found), experiment.limits),
    ]
    return [check.sentence for check in checks if check.result != "ok"]
