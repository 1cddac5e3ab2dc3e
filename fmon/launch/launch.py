"""Phase 1: the manifest first, then one managed job per condition, exactly once.

Reads config, task YAML, registry and queue; writes manifest and audit, and launches. Running it again
resumes the newest open experiment of the config's name. A new one is created only when that one is over:
every job has ended, and if some conditions never got a job, a day has passed since the last change and
since the time until which they were to be submitted (``submit_until`` in the manifest).
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from fmon.config.task import image_of
from fmon.errors import ConfigError
from fmon.events import LaunchEvent
from fmon.launch.dispatch import LaunchKey, dispatch, exclusive
from fmon.launch.environment import environment_of, record_environment
from fmon.launch.estimate import SPENT, cost_of, estimate
from fmon.launch.experiments import launched_as, read_inputs, store_at, without_job
from fmon.launch.job_yaml import JobWriter
from fmon.launch.limits import DispatchLimits
from fmon.launch.outcome import Launched
from fmon.launch.preflight import checks, image_check, parse_kinds
from fmon.launch.preflight_commands import commands_before, run_preflight
from fmon.launch.refusals import (
    confirm_cost,
    refuse_another_image,
    refuse_failed,
    refuse_open_jobs,
)
from fmon.manifest.build import extend, new_manifest
from fmon.manifest.file import read_manifest, write_manifest
from fmon.manifest.stored import StoredExperiment
from fmon.model import MAX_CONDITIONS
from fmon.monitor.ingest import ingest
from fmon.monitor.refresh import refresh
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import POLL_WAIT_S, poll_lock
from fmon.warehouse import column, connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from fmon.launch.arguments import LaunchDependencies, LaunchOptions
    from fmon.launch.check import Check
    from fmon.launch.estimate import Estimate
    from fmon.launch.preflight import Consent
    from fmon.model import Condition, Experiment, Manifest, Record
    from fmon.sky.submit.submitter import Submitter
    from fmon.store.folder import Store


LOCK_WAIT_S = 5.0
"""How long a person's launch waits for another launcher [s]; a round only tries."""


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The results of a launch's checks, all of which passed.

    Attributes
    ----------
    checks
        The checks.
    found
        The estimate for all conditions.
    cost_usd
        The estimate for those without a job; None = unknown.
    image, digest
        Image that the jobs run in; None = bare VM.
    """

    checks: list[Check]
    found: Estimate
    cost_usd: float | None
    image: str | None
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A launch that passed its checks; nothing is launched and no experiment created yet.

    Attributes
    ----------
    experiment
        The config.
    store, manifest
        The experiment to continue or to create, with all conditions.
    is_new
        It is to be created.
    missing
        Conditions without a job, in the order of the config.
    writer
        Writes their task YAMLs.
    submitter
        Launches the jobs.
    passed
        Results of the checks; None if every condition has a job.
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
        """Return the result as it is before anything is launched."""
        return Launched(
            experiment_id=self.store.experiment_id,
            is_new=self.is_new,
            is_dry=is_dry,
            condition_count=len(self.manifest.jobs),
            had_count=len(self.manifest.jobs) - len(self.missing),
            checks=self.passed.checks if self.passed else [],
            cost_usd=self.passed.cost_usd if self.passed else None,
            limits=self.experiment.launch,
        )


def launch(
    path: Path,
    data: Path,
    dependencies: LaunchDependencies,
    options: LaunchOptions,
    *,
    max_conditions: int = MAX_CONDITIONS,
) -> Launched:
    """Launch one managed job per condition that has none.

    Parameters
    ----------
    path
        The experiment's config.
    data
        Data directory.
    dependencies, options
        External services, and the options of the launch.
    max_conditions
        Maximum number of conditions of the config.

    Raises
    ------
    ConfigError
        A check failed; nothing was launched and no experiment created.
    QueueError, RegistryError
        Queue, SkyPilot or registry did not answer; nothing was launched.
    LockTaken
        Another process is launching jobs of this name.
    """
    with prepare(path, data, dependencies, options, max_conditions=max_conditions) as prepared:
        # Nobody looks at the commands of an unattended launch, which may have many thousands of jobs.
        if prepared.missing and options.agree is not None:
            shown = preview(prepared)
            if not options.agree(shown):
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
    """Find what to launch, check that it may be launched, and lock out all other launchers.

    Parameters and errors are those of ``launch``. Reading the jobs of an experiment that is continued is
    a poll, and stored.
    """
    experiment, task = read_inputs(path, options, max_conditions=max_conditions)
    with (
        exclusive(data, experiment.experiment_name, wait_s=0.0 if options.resume else LOCK_WAIT_S) as hold,
        closing(dependencies.open_submitter(hold)) as submitter,
    ):
        store, manifest, is_new, records = _experiment(data, experiment, dependencies)
        if options.resume not in (None, store.experiment_id):
            message = f"{options.resume} has ended; nothing more is submitted for it"
            raise ConfigError(message)
        missing = without_job(experiment, manifest, leave_out=options.leave_out)
        environment = environment_of(manifest, options.env_file, dependencies.environ)
        writer = JobWriter(task, experiment, store.experiment_id, environment)
        passed = None
        if missing:
            refuse_open_jobs(manifest, records)
            passed = _check(
                experiment,
                missing,
                writer,
                submitter,
                dependencies,
                consent=options.consent,
                spent_usd=None if is_new else _spent(store, now=dependencies.clock.now()),
            )
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
    """Return what would be launched; changes nothing."""
    commands = [prepared.writer.command(each, 0) for each in prepared.missing]
    preflight = commands_before(prepared.experiment) if prepared.missing else []
    return replace(prepared.launched(is_dry=True), commands=commands, preflight=preflight)


def commit(prepared: Prepared, dependencies: LaunchDependencies, options: LaunchOptions) -> Launched:
    """Write the manifest and the event, then launch; if there is nothing to launch, nothing changes.

    Parameters
    ----------
    prepared
        Result of ``prepare``.
    dependencies, options
        As for ``launch``.

    Raises
    ------
    ConfigError
        The budget would be exceeded, which was not allowed.
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
        accepted=options.accepted,
    )
    ran = [] if options.resume else run_preflight(experiment, dependencies.run)
    period_s = experiment.launch.give_up_after_s
    until = None if options.resume else dependencies.clock.now() + timedelta(seconds=period_s)
    _write(prepared, passed, submit_until=until)
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
        preflight=ran,
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
        limits=DispatchLimits.of(experiment.launch),
        progress=dependencies.progress,
    )
    if not dispatched.has_queued and (dispatched.failed or options.leave_out):
        _end_queue(prepared.store)
    refresh(prepared.store, now=dependencies.clock.now())
    return replace(launched, dispatched=dispatched, accepted=passed.found if is_confirmed else None)


def _check(
    experiment: Experiment,
    missing: list[Condition],
    writer: JobWriter,
    submitter: Submitter,
    dependencies: LaunchDependencies,
    *,
    consent: Consent,
    spent_usd: float | None,
) -> Passed:
    """Check everything for which a launch can be refused before it costs anything."""
    found = estimate(experiment, writer.task, catalog=dependencies.catalog)
    rest = cost_of(missing, writer.task, found.prices)
    if spent_usd is not None and found.cost_usd is not None:  # jobs may have cost more than expected
        found = replace(found, cost_usd=max(found.cost_usd, spent_usd + (rest.cost_usd or 0.0)))
    results = checks(
        experiment,
        writer.task,
        found,
        parse=lambda: parse_kinds(
            lambda texts: max(map(submitter.parse, texts)), writer, experiment.conditions, cycle=0
        ),
        environment=writer.environment,
        folder=dependencies.folder,
        consent=consent,
    )
    refuse_failed(results)
    image = image_of(experiment, writer.task)
    return Passed(
        checks=results,
        found=found,
        cost_usd=rest.cost_usd,
        image=image,
        digest=None if image is None else dependencies.digest_of(image),
    )


def _spent(store: Store, *, now: datetime) -> float | None:
    """Return what an experiment has cost so far [USD]; None = unknown."""
    con = connect(store.path.parent, store.experiment_id, now=now, queries=(SPENT,))
    return next((float(cost) for cost in column(con, SPENT) if cost is not None), None)


def _experiment(
    data: Path, experiment: Experiment, dependencies: LaunchDependencies
) -> tuple[Store, Manifest, bool, list[Record]]:
    """Return the experiment to continue, after one more poll, or create one in memory."""
    now = dependencies.clock.now()
    known = launched_as(data, experiment.experiment_name)
    with lock(poll_lock(data), wait_s=POLL_WAIT_S):
        answer = dependencies.queue.read()
        newest = known[-1] if known else None
        if newest is not None and not newest.is_closed:
            refused = ingest(newest, answer, source=dependencies.queue.name, now=now).error
            if refused is not None:
                raise refused
        while (store := store_at(data, experiment, now)) in known:
            now += timedelta(seconds=1)
        fresh = new_manifest(
            experiment, store.experiment_id, created_at=now, is_replay=False, prices={}, since=now
        )
        fresh.api_servers = {answer.server: answer.server_id or ""} if answer.server else {}
        if newest is None or newest.is_closed:
            return store, fresh, True, answer.records
        manifest = read_manifest(newest)
        extend(manifest, fresh)
        return newest, manifest, False, answer.records


def _write(prepared: Prepared, passed: Passed, *, submit_until: datetime | None) -> None:
    """Write the manifest before anything is launched (F5); a continued one is extended.

    Without ``submit_until`` the time of the last launch by a person stays.
    """
    store, manifest, experiment = prepared.store, prepared.manifest, prepared.experiment
    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S):
        if not prepared.is_new:
            manifest = read_manifest(store)  # a poll may have attached jobs meanwhile
            extend(manifest, prepared.manifest)
        manifest.limits, manifest.prices = experiment.limits, {**manifest.prices, **passed.found.prices}
        if passed.digest != manifest.docker_digest:
            manifest.docker_digest_source = "launch"
        manifest.controller_usd_per_h = experiment.controller_usd_per_h
        manifest.docker_image, manifest.docker_digest = passed.image, passed.digest
        record_environment(manifest, prepared.writer.environment)
        manifest.total_estimated_cost = passed.found.cost_usd
        manifest.submit_until = submit_until or manifest.submit_until
        write_manifest(store, manifest)


def _end_queue(store: Store) -> None:
    """Record that no condition is queued: those without a job were refused permanently."""
    file = StoredExperiment(store).manifest_file
    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S), file.changing() as manifest:
        manifest.submit_until = None
        file.write(manifest)
