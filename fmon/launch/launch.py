"""Phase 1: the manifest first, then one managed job per condition, exactly once.

Reads config, task YAML, registry and queue; writes manifest and audit, and launches. Called again it
resumes: the newest open experiment of the config's name is continued, and only when that one is over
(every job ended; where conditions never got one, for a day already) a new one is made.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import image_of, read_task
from fmon.events import LaunchEvent
from fmon.launch.dispatch import DispatchLimits, LaunchKey, dispatch, exclusive
from fmon.launch.estimate import cost_of, estimate
from fmon.launch.job_yaml import JobWriter, job_envs
from fmon.launch.outcome import Launched
from fmon.launch.preflight import checks, image_check, parse_kinds
from fmon.launch.refusals import (
    confirm_cost,
    refuse_another_image,
    refuse_bare_vm,
    refuse_failed,
    refuse_job_names,
    refuse_open_jobs,
)
from fmon.manifest.build import extend, new_manifest
from fmon.manifest.file import read_manifest, write_manifest
from fmon.manifest.match import attach, match
from fmon.manifest.stored import StoredExperiment
from fmon.model import MAX_CONDITIONS
from fmon.monitor.ingest import ingest
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import POLL_WAIT_S, Store, poll_lock, stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from fmon.clock import Clock
    from fmon.launch.estimate import Estimate
    from fmon.launch.preflight import Check
    from fmon.model import Condition, Experiment, Manifest, Record
    from fmon.sky.prices import Catalog
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter


@dataclass(frozen=True, kw_only=True)
class LaunchDependencies:
    """Everything outside that a launch asks or changes.

    Attributes
    ----------
    open_submitter
        What launches; it is given the launchers' lock.
    queue
        Where the jobs are read from.
    digest_of
        An image's digest in its registry.
    catalog
        What SkyPilot says that machines cost.
    environ
        Where variables that the task declares without a value take theirs from.
    folder
        What relative paths of the task YAML are relative to.
    clock
        The clock.
    limits
        How fast jobs are launched.
    progress
        Called with (jobs settled, jobs in all).
    """

    open_submitter: Callable[[int], Submitter]
    queue: QueueReader
    digest_of: Callable[[str], str]
    catalog: Catalog
    environ: Mapping[str, str]
    folder: Path
    clock: Clock
    limits: DispatchLimits = field(default_factory=DispatchLimits)
    progress: Callable[[int, int], None] = lambda settled, total: None


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How a person wants it.

    Attributes
    ----------
    by
        who
    is_dry
        show what would be launched, and change nothing
    allow_bare_vm
        launch without a container image
    is_over_budget_allowed
        launch even if the estimate exceeds the budget
    agree
        called with what would be launched, as of a dry run; False = nothing is launched
    confirm
        asks whether to exceed the budget; None = no question may be asked
    """

    by: str
    is_dry: bool = False
    allow_bare_vm: bool = False
    is_over_budget_allowed: bool = False
    agree: Callable[[Launched], bool] = lambda preview: True
    confirm: Callable[[str], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What the checks of a launch found, none of which refused it.

    Attributes
    ----------
    checks
        What was looked at.
    found
        The estimate for all conditions.
    cost_usd
        The estimate for those without a job; None = unknown.
    image, digest
        What the jobs run in; None on a bare VM.
    """

    checks: list[Check]
    found: Estimate
    cost_usd: float | None
    image: str | None
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A launch that may be made; nothing is launched and no experiment made yet.

    Attributes
    ----------
    experiment
        The config.
    store, manifest
        The experiment to continue, or the one to make, with all conditions.
    is_new
        It is to be made.
    missing
        Conditions without a job, in the order of the config.
    writer
        Writes their task YAMLs.
    submitter
        What launches them.
    passed
        What was checked; None where no condition is without a job.
    """

    experiment: Experiment
    store: Store
    manifest: Manifest
    is_new: bool
    missing: list[Condition]
    writer: JobWriter
    submitter: Submitter
    passed: Passed | None

    def launched(self, *, is_dry: bool) -> Launched:
        """Describe what is there before anything is launched."""
        return Launched(
            experiment_id=self.store.experiment_id,
            is_new=self.is_new,
            is_dry=is_dry,
            condition_count=len(self.manifest.jobs),
            had_count=len(self.manifest.jobs) - len(self.missing),
            checks=self.passed.checks if self.passed else [],
            cost_usd=self.passed.cost_usd if self.passed else None,
        )


def launch(
    path: Path,
    data: Path,
    dependencies: LaunchDependencies,
    options: LaunchOptions,
    *,
    max_conditions: int = MAX_CONDITIONS,
) -> Launched:
    """Launch one managed job per condition that has none; of a dry run only show them.

    Parameters
    ----------
    path
        The experiment's config.
    data
        Data directory.
    dependencies, options
        What is asked and changed, and how it is wanted.
    max_conditions
        Most conditions the config may have.

    Raises
    ------
    ConfigError
        A gate refuses; nothing was launched and no experiment made.
    QueueError, RegistryError
        Queue, SkyPilot or registry did not answer; nothing was launched.
    LockTaken
        Another process launches jobs of this name.
    """
    with prepare(path, data, dependencies, options, max_conditions=max_conditions) as prepared:
        shown = preview(prepared)
        if options.is_dry or (prepared.missing and not options.agree(shown)):
            return shown
        return commit(prepared, dependencies, options)


@contextmanager
def prepare(
    path: Path,
    data: Path,
    dependencies: LaunchDependencies,
    options: LaunchOptions,
    *,
    max_conditions: int = MAX_CONDITIONS,
) -> Iterator[Prepared]:
    """Find out what is to be launched, refuse what must not be, and keep all other launchers out.

    Parameters and errors are those of ``launch``. A look at the jobs of an experiment that is continued is
    a poll, and stored, unless it is for a dry run.
    """
    experiment = load_experiment(path, max_conditions=max_conditions)
    refuse_job_names(experiment)
    task = read_task(experiment)
    refuse_bare_vm(experiment, task, is_allowed=options.allow_bare_vm)
    with (
        exclusive(data, experiment.experiment_name) as hold,
        closing(dependencies.open_submitter(hold)) as submitter,
    ):
        store, manifest, is_new, records = _experiment(data, experiment, dependencies, is_dry=options.is_dry)
        without = {entry.condition for entry in manifest.jobs if entry.job_id is None}
        missing = [each for each in experiment.conditions if each.condition_id in without]
        writer = JobWriter(task, experiment, store.experiment_id, dependencies.environ)
        passed = None
        if missing:
            refuse_open_jobs(manifest, records)
            passed = _check(experiment, missing, writer, submitter, dependencies)
            refuse_another_image(manifest, passed.image, passed.digest)
        yield Prepared(
            experiment=experiment,
            store=store,
            manifest=manifest,
            is_new=is_new,
            missing=missing,
            writer=writer,
            submitter=submitter,
            passed=passed,
        )


def preview(prepared: Prepared) -> Launched:
    """Show what would be launched; changes nothing."""
    told = partial(job_envs, prepared.experiment, experiment_id=prepared.store.experiment_id, cycle=0)
    would = {each.condition_id: (each.job_name, told(each)) for each in prepared.missing}
    return replace(prepared.launched(is_dry=True), to_launch=would)


def commit(prepared: Prepared, dependencies: LaunchDependencies, options: LaunchOptions) -> Launched:
    """Write the manifest and the event, then launch; a launch of nothing changes nothing.

    Parameters
    ----------
    prepared
        What ``prepare`` found.
    dependencies, options
        As for ``launch``.

    Raises
    ------
    ConfigError
        The budget does not allow it, and nobody did.
    QueueError
        The queue did not answer; nothing was launched.
    """
    launched, passed = prepared.launched(is_dry=False), prepared.passed
    if passed is None:
        return launched
    experiment, missing = prepared.experiment, prepared.missing
    is_confirmed = confirm_cost(
        experiment.limits,
        passed.found,
        options.confirm,
        count=len(missing),
        is_allowed=options.is_over_budget_allowed,
    )
    _write(prepared, passed)
    event = LaunchEvent(
        at=dependencies.clock.now(),
        config=experiment.config_file,
        by=options.by,
        condition_count=len(missing),
        image=passed.image,
        digest=passed.digest,
        is_bare_vm=image_check(prepared.writer.task, None).result != "ok",
        estimated_cost_usd=passed.found.cost_usd,
        budget_usd=experiment.limits.budget_usd,
        is_over_budget_confirmed=is_confirmed,
    )
    append_event(prepared.store, event)
    conditions = {each.condition_id: each for each in missing}
    dispatched = dispatch(
        StoredExperiment(prepared.store),
        [LaunchKey(each, 0) for each in conditions],
        prepared.submitter,
        dependencies.queue,
        task_yaml=lambda entry, cycle: prepared.writer.of(conditions[entry.condition], cycle),
        clock=dependencies.clock,
        limits=dependencies.limits,
        progress=dependencies.progress,
    )
    return replace(launched, dispatched=dispatched)


def _check(
    experiment: Experiment,
    missing: list[Condition],
    writer: JobWriter,
    submitter: Submitter,
    dependencies: LaunchDependencies,
) -> Passed:
    """Look at everything that a launch can be refused for before it costs anything."""
    found = estimate(experiment, writer.task, catalog=dependencies.catalog)
    looked = checks(
        experiment,
        writer.task,
        found,
        parse=lambda _: parse_kinds(submitter.parse, writer, experiment.conditions, cycle=0),
        environ=dependencies.environ,
        folder=dependencies.folder,
    )
    refuse_failed(looked)
    image = image_of(experiment, writer.task)
    return Passed(
        checks=looked,
        found=found,
        cost_usd=cost_of(missing, writer.task, found.prices).cost_usd,
        image=image,
        digest=None if image is None else dependencies.digest_of(image),
    )


def _experiment(
    data: Path, experiment: Experiment, dependencies: LaunchDependencies, *, is_dry: bool
) -> tuple[Store, Manifest, bool, list[Record]]:
    """Find the experiment to continue, after one more look at its jobs, or make one in memory.

    A look is a poll, and stored; that of a dry run is not.
    """
    now = dependencies.clock.now()
    known = [
        store
        for store in stores(data)
        if store.experiment_id.rpartition("-")[0] == experiment.experiment_name
        and not read_manifest(store).is_replay
    ]
    with lock(poll_lock(data), wait_s=POLL_WAIT_S):
        answer = dependencies.queue.read()
        newest = known[-1] if known else None
        if newest is not None and not newest.is_closed and not is_dry:
            ingest(newest, answer, source=dependencies.queue.name, now=now)
        while (store := _store_at(data, experiment, now)) in known:
            now += timedelta(seconds=1)
        fresh = new_manifest(
            experiment, store.experiment_id, created_at=now, is_replay=False, prices={}, since=now
        )
        if newest is None or newest.is_closed:
            return store, fresh, True, answer.records
        manifest = read_manifest(newest)
        if is_dry:
            attach(manifest, match(manifest, answer.records))
        extend(manifest, fresh)
        return newest, manifest, False, answer.records


def _store_at(data: Path, experiment: Experiment, at: datetime) -> Store:
    return Store(data / f"{experiment.experiment_name}-{at:%Y%m%dT%H%M%SZ}")


def _write(prepared: Prepared, passed: Passed) -> None:
    """Write the manifest before anything is launched (F5); of one that is continued, what is new in it."""
    store, manifest, experiment = prepared.store, prepared.manifest, prepared.experiment
    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S):
        if not prepared.is_new:
            manifest = read_manifest(store)  # a poll may have attached jobs meanwhile
            extend(manifest, prepared.manifest)
        manifest.limits, manifest.prices = experiment.limits, {**manifest.prices, **passed.found.prices}
        manifest.docker_image, manifest.docker_digest = passed.image, passed.digest
        manifest.total_estimated_cost = passed.found.cost_usd
        write_manifest(store, manifest)
