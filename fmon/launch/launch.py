"""Phase 1: the manifest first, then one managed job per condition, exactly once.

Reads config, task YAML, registry and queue; writes manifest and audit, and launches. Called again it
resumes: the newest open experiment of the config's name is continued, and only when that one is over
(every job ended; where conditions never got one, for a day already) a new one is made.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.config.task import image_of, read_task
from fmon.launch.dispatch import DispatchLimits, DispatchOutcome, LaunchKey, dispatch, exclusive
from fmon.launch.estimate import cost_of, estimate
from fmon.launch.job_yaml import JobWriter, job_envs
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
from fmon.monitor.ingest import ingest
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import Store, poll_lock, stores
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from fmon.launch.estimate import Estimate
    from fmon.launch.preflight import Check
    from fmon.model import Experiment, Manifest, Record
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter

POLL_WAIT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class LaunchDependencies:
    """Everything outside that a launch asks or changes.

    Attributes
    ----------
    open_submitter : what launches; it is given the launchers' lock
    queue : where the jobs are read from
    digest_of : an image's digest in its registry
    environ : where variables that the task declares without a value take theirs from
    folder : what relative paths of the task YAML are relative to
    clock, sleep, monotonic : the clock [UTC], how to wait [s], a clock that never steps [s]
    """

    open_submitter: Callable[[int], Submitter]
    queue: QueueReader
    digest_of: Callable[[str], str]
    environ: Mapping[str, str]
    folder: Path
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How a person wants it.

    Attributes
    ----------
    by : who
    is_dry : show what would be launched, and change nothing
    allow_bare_vm : launch without a container image
    confirm : asks whether to spend more than the budget; None = no terminal to ask on
    """

    by: str
    is_dry: bool = False
    allow_bare_vm: bool = False
    confirm: Callable[[str], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Launched:
    """What a launch did.

    Attributes
    ----------
    experiment_id : the experiment; of a dry run that would make one, the id it would have
    is_new : it was made now
    had_count : conditions that had a job before
    to_launch : (job name, variables that fmon sets) by condition; of a dry run only
    checks : what was looked at
    cost_usd : estimate for the jobs of this launch; None = unknown
    dispatched : what became of the launches
    """

    experiment_id: str
    is_new: bool
    is_dry: bool
    condition_count: int
    had_count: int
    to_launch: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    cost_usd: float | None = None
    dispatched: DispatchOutcome = field(default_factory=DispatchOutcome)

    def sentences(self) -> list[str]:
        """Say what was done, for stderr."""
        said = [f"{check.result}: {check.sentence}" for check in self.checks if check.result != "ok"]
        what = "new experiment" if self.is_new else "continued"
        left = self.condition_count - self.had_count
        cost = "" if self.cost_usd is None else f", estimated at {self.cost_usd:.2f} USD"
        if self.is_dry:
            return [
                *said,
                f"{self.experiment_id}: {what}; would launch {left} jobs{cost}; nothing was changed",
            ]
        if not left:
            return [
                *said,
                f"{self.experiment_id}: all {self.condition_count} conditions have a job; nothing to do",
            ]
        done = self.dispatched
        said.append(
            f"{self.experiment_id}: {what}; {len(done.launched)} jobs launched{cost}; "
            f"{self.had_count + len(done.launched) + len(done.found)} of {self.condition_count} conditions "
            "have a job"
        )
        if done.found:
            said.append(f"{len(done.found)} had been launched already, unnoticed: {listed(done.found)}")
        return said

    def lines(self) -> list[str]:
        """Give the data, for stdout: the experiment's id; of a dry run one line a job."""
        if not self.is_dry:
            return [self.experiment_id]
        return [
            " ".join([name, *(f"{variable}={value}" for variable, value in envs.items())])
            for name, envs in self.to_launch.values()
        ]


def launch(
    path: Path,
    data: Path,
    dependencies: LaunchDependencies,
    options: LaunchOptions,
    *,
    max_conditions: int = 100_000,
    limits: DispatchLimits | None = None,
    progress: Callable[[int, int], None] = lambda settled, total: None,
) -> Launched:
    """Launch one managed job per condition that has none.

    Parameters
    ----------
    path : the experiment's config
    data : data directory
    dependencies, options : what is asked and changed, and how it is wanted
    max_conditions : most conditions the config may have
    limits : how fast
    progress : called with (jobs settled, jobs in all)

    Raises
    ------
    ConfigError
        A gate refuses; nothing was launched and no experiment made.
    QueueError, RegistryError
        Queue, SkyPilot or registry did not answer; nothing was launched.
    LockTaken
        Another process launches jobs of this name.
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
        missing = {entry.condition for entry in manifest.jobs if entry.job_id is None}
        launched = Launched(
            experiment_id=store.experiment_id,
            is_new=is_new,
            is_dry=options.is_dry,
            condition_count=len(manifest.jobs),
            had_count=len(manifest.jobs) - len(missing),
        )
        if not missing:
            return launched
        refuse_open_jobs(manifest, records)
        conditions = {each.condition_id: each for each in experiment.conditions}
        found = estimate(experiment, task)
        writer = JobWriter(task, experiment, store.experiment_id, dependencies.environ)
        looked = checks(
            experiment,
            task,
            found,
            parse=lambda _: parse_kinds(submitter.parse, writer, experiment.conditions, cycle=0),
            environ=dependencies.environ,
            folder=dependencies.folder,
        )
        refuse_failed(looked)
        image = image_of(experiment, task)
        digest = None if image is None else dependencies.digest_of(image)
        refuse_another_image(manifest, image, digest)
        cost_usd = cost_of([conditions[each] for each in sorted(missing)], task, found.prices).cost_usd
        launched = replace(launched, checks=looked, cost_usd=cost_usd)
        if options.is_dry:
            told = partial(job_envs, experiment, experiment_id=store.experiment_id, cycle=0)
            would = {
                name: (each.job_name, told(each)) for name, each in conditions.items() if name in missing
            }
            return replace(launched, to_launch=would)
        is_confirmed = confirm_cost(experiment.limits, found, options.confirm, count=len(missing))
        _write(store, manifest, experiment, found, image=image, digest=digest, is_new=is_new)
        append_event(
            store,
            "launch",
            at=dependencies.clock(),
            config=str(path),
            by=options.by,
            condition_count=len(missing),
            image=image,
            digest=digest,
            is_bare_vm=image_check(task, None).result != "ok",
            estimated_cost_usd=found.cost_usd,
            budget_usd=experiment.limits.budget_usd,
            is_over_budget_confirmed=is_confirmed,
        )
        dispatched = dispatch(
            store,
            [LaunchKey(each, 0) for each in conditions if each in missing],
            submitter,
            dependencies.queue,
            task_yaml=lambda entry, cycle: writer.of(conditions[entry.condition], cycle),
            clock=dependencies.clock,
            sleep=dependencies.sleep,
            monotonic=dependencies.monotonic,
            limits=limits,
            progress=progress,
        )
    return replace(launched, dispatched=dispatched)


def _experiment(
    data: Path, experiment: Experiment, dependencies: LaunchDependencies, *, is_dry: bool
) -> tuple[Store, Manifest, bool, list[Record]]:
    """Find the experiment to continue, after one more look at its jobs, or make one in memory.

    A look is a poll, and stored; that of a dry run is not.
    """
    now = dependencies.clock()
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


def _write(
    store: Store,
    manifest: Manifest,
    experiment: Experiment,
    found: Estimate,
    *,
    image: str | None,
    digest: str | None,
    is_new: bool,
) -> None:
    """Write the manifest before anything is launched (F5); of one that is continued, what is new in it."""
    with lock(poll_lock(store.path.parent), wait_s=POLL_WAIT_S):
        if not is_new:
            fresh, manifest = manifest, read_manifest(store)  # a poll may have attached jobs meanwhile
            extend(manifest, fresh)
        manifest.limits, manifest.prices = experiment.limits, {**manifest.prices, **found.prices}
        manifest.docker_image, manifest.docker_digest = image, digest
        manifest.total_estimated_cost = found.cost_usd
        write_manifest(store, manifest)
