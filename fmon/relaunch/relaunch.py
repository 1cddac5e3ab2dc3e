"""Phase 5, relaunch: launch only what view ``relaunch_candidate`` lists, in one more cycle, under F1 to F5.

Reads the views, the config, git and the registry; launches through ``fmon.launch.dispatch``; writes
events and the manifest. The event ``relaunch`` comes before the first launch: after a crash the next call
finds the cycle started and resumes it (docs/decisions/0017).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from fmon.clients.shell import run_command
from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import failures, unfinished
from fmon.errors import ConfigError, RuleError
from fmon.events import CycleAuthorizedEvent, RelaunchEvent
from fmon.fix.candidates import QUERIES as CANDIDATES
from fmon.fix.candidates import choose
from fmon.fix.chain import measure
from fmon.launch.dispatch import DispatchOutcome, LaunchKey, dispatch, exclusive
from fmon.launch.estimate import cost_of
from fmon.launch.job_yaml import JobWriter
from fmon.launch.limits import DispatchLimits
from fmon.launch.preflight import Consent, checks, parse_kinds
from fmon.launch.refusals import (
    confirm_over_budget,
    open_jobs_of,
    refuse_failed,
    unrelated_jobs,
)
from fmon.manifest.identity import identify, stored_jobs
from fmon.manifest.stored import StoredExperiment
from fmon.monitor.poll import poll_one
from fmon.monitor.refresh import refresh
from fmon.relaunch.begin import begin
from fmon.relaunch.escalation import QUERIES as ESCALATION
from fmon.relaunch.escalation import escalation
from fmon.relaunch.plan import QUERIES as PLAN
from fmon.relaunch.plan import Authorization, RelaunchPlan, plan_relaunch
from fmon.relaunch.untracked import QUERIES as TRACKING
from fmon.relaunch.untracked import untracked_faults
from fmon.rules.f1_wait_for_terminal import f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import f2_aggregate_before_fix, f2_diagnosed_in_full
from fmon.rules.f3_rebuild_before_relaunch import (
    f3_links,
    f3_rebuild_before_relaunch,
    f3_same_image,
)
from fmon.rules.f4_max_two_cycles import f4_max_two_cycles
from fmon.rules.f5_factorial_manifest import f5_factorial_manifest, f5_unrelated_job_faults
from fmon.store.durable import LockTaken
from fmon.study import Study
from fmon.warehouse import open_views
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from fmon.clients.shell import Ran
    from fmon.events import Event
    from fmon.launch.arguments import LaunchDependencies
    from fmon.model import Manifest
    from fmon.rules.f3_rebuild_before_relaunch import BuildChain, Link
    from fmon.sky.submit.submitter import Submitter

QUERIES = (*PLAN, *GATHERED, *ESCALATION, *TRACKING)
"""The queries of this module; ``connect`` creates the views that they need."""


@dataclass(frozen=True, kw_only=True)
class Relaunched:
    """The plan of a relaunch and its outcome; ``dispatched`` is None if nothing was launched."""

    plan: RelaunchPlan
    is_replay: bool
    dispatched: DispatchOutcome | None = None

    def sentences(self, *, is_dry: bool) -> list[str]:
        """Return what was done and the next command, for stderr."""
        sentences = self.plan.sentences()
        if not self.plan.jobs:
            return [*sentences, "next: fmon report"]
        if self.dispatched is None:
            return [*sentences, "dry run: nothing was changed" if is_dry else "nothing was launched"]
        if self.is_replay:
            return [*sentences, "replay: recorded in events.jsonl, nothing was launched"]
        count = len(self.dispatched.launched)
        found = f", {len(self.dispatched.found)} had already been launched" if self.dispatched.found else ""
        return [*sentences, f"{count:,} launched{found}; next: fmon watch -e {self.plan.experiment_id}"]


@dataclass(frozen=True, kw_only=True)
class RelaunchOptions:
    """The options of a relaunch.

    Attributes
    ----------
    by
        Person to record in the audit.
    env_file
        File of variables that every job gets; None = that of the launch.
    selections
        Conditions to relaunch; empty = all candidates.
    include_cancelled
        Include jobs that a person cancelled.
    authorization
        Authorization of one cycle beyond the limit; None = none.
    is_over_budget_allowed
        Launch even if the estimate exceeds the budget.
    confirm
        Asks whether to exceed the budget; None = do not ask.
    """

    by: str
    env_file: Path | None = None
    selections: tuple[str, ...] = ()
    include_cancelled: bool = False
    authorization: Authorization | None = None
    is_over_budget_allowed: bool = False
    confirm: Callable[[str], bool] | None = None


def relaunch(
    study: Study,
    dependencies: LaunchDependencies,
    *,
    agree: Callable[[RelaunchPlan], bool],
    options: RelaunchOptions,
    run: Callable[..., Ran] = run_command,
) -> Relaunched:
    """Relaunch failed conditions and those cancelled by the kill switch or closed as lost, as the next cycle.

    A cycle that was started and interrupted is resumed: it does not count as another one, and its image
    must be the one that it was started with.

    Parameters
    ----------
    study
        The experiment.
    dependencies
        External services.
    agree
        Called once every rule has passed; False = do nothing (a dry run).
    options
        Options of the relaunch.
    run
        Runs the test command.

    Raises
    ------
    RuleError
        F1 to F5; nothing was launched or written. F4 carries the report for the person who decides.
    ConfigError
        The config can't be used, a check of launch failed, the budget would be exceeded, or the
        authorization is not for the next cycle; nothing was launched or written.
    LockTaken
        Another process is launching jobs of this experiment.
    QueueError
        SkyPilot did not answer; a cycle that was started is resumed by the next call.
    """
    clock = dependencies.clock
    if not study.manifest.is_replay:  # a job that has ended may run again since the last poll
        poll_one(study.store, dependencies.queue, clock=clock)
        study = Study(study.store)
    manifest = study.manifest
    con = study.connect(QUERIES, now=clock.now())
    selected = select_current(study, options.selections, now=clock.now()) if options.selections else None
    plan = plan_relaunch(
        study,
        con,
        include_cancelled=options.include_cancelled,
        selected=selected,
        env_file=options.env_file,
        environ=dependencies.environ,
    )
    diagnosed_at = _f1_and_f2(study, con, plan)
    if not plan.jobs:
        return Relaunched(plan=plan, is_replay=manifest.is_replay)
    # Before F3: a relaunch that is not allowed anyway need not wait for tests.
    _f4(study, con, plan, options.authorization)
    chain, links = _f3(study, plan, diagnosed_at=diagnosed_at, run=run, ask=dependencies.digest_of)
    f5_factorial_manifest(untracked_faults(study, con, cycle=plan.cycle))

    if not agree(plan):
        return Relaunched(plan=plan, is_replay=manifest.is_replay)
    is_over_budget = _confirm_budget(manifest, plan, options)
    with (
        exclusive(study.data, manifest.experiment_name) as hold,
        closing(dependencies.open_submitter(hold)) as submitter,
    ):
        stored = StoredExperiment(
            study.store
        )  # read again: another process may have changed it before the lock
        _refuse_if_changed(stored, plan, options, selected, now=clock.now())
        writer = JobWriter(plan.task, plan.experiment, plan.experiment_id, plan.environment)
        _check(stored, plan, writer, submitter, dependencies)
        begin(
            stored,
            plan,
            chain,
            links,
            options.authorization,
            plan.environment,
            by=options.by,
            is_over_budget_confirmed=is_over_budget,
            now=clock.now(),
        )
        dispatched = dispatch(
            stored,
            [LaunchKey(condition_id, plan.cycle) for condition_id in plan.condition_ids],
            submitter,
            dependencies.queue,
            task_yaml=lambda entry, cycle: writer.of(plan.conditions[entry.condition], cycle),
            clock=clock,
            limits=DispatchLimits.of(plan.experiment.launch),
            progress=dependencies.progress,
        )
    refresh(study.store, now=clock.now())
    return Relaunched(plan=plan, is_replay=manifest.is_replay, dispatched=dispatched)


def _f1_and_f2(study: Study, con: duckdb.DuckDBPyConnection, plan: RelaunchPlan) -> datetime:
    """Check F1 and F2, and return when the diagnosis that the fix follows was finished [UTC]."""
    f1_wait_for_terminal(unfinished(con, cycle=plan.cycle))
    failed = failures(con, cycle=plan.cycle)
    f2_aggregate_before_fix(failed)
    if failed and not plan.is_resumed:  # some of its failures may have recovered already
        return f2_diagnosed_in_full(study.events, plan.cycle - 1, failed)
    return study.manifest.created_at


def _confirm_budget(manifest: Manifest, plan: RelaunchPlan, options: RelaunchOptions) -> bool:
    """Ask before the budget is exceeded; return whether it is.

    A cycle beyond the limit has its own budget, which F4 has compared with the estimate.
    """
    sentence = plan.over_budget()
    if sentence is None or manifest.is_replay or plan.cycle > manifest.max_relaunch_cycles:
        return False
    confirm_over_budget(
        sentence, options.confirm, count=len(plan.jobs), is_allowed=options.is_over_budget_allowed
    )
    return True


def _f4(
    study: Study,
    con: duckdb.DuckDBPyConnection,
    plan: RelaunchPlan,
    authorization: Authorization | None,
) -> None:
    """Require a person's authorization for a cycle beyond the limit; the error carries the report."""
    budgets = {
        event.cycle: Decimal(str(event.budget_usd))
        for event in study.events
        if isinstance(event, CycleAuthorizedEvent)
    }
    max_cycles = study.manifest.max_relaunch_cycles
    if authorization is not None:
        if authorization.cycle != plan.cycle:
            message = (
                f"--authorize-cycle {authorization.cycle} is not the next cycle; "
                f"use --authorize-cycle {plan.cycle}"
            )
            raise ConfigError(message)
        budgets[authorization.cycle] = authorization.budget_usd
    try:
        f4_max_two_cycles(plan.cycle, max_cycles=max_cycles, budgets=budgets, estimate_usd=plan.estimate_usd)
    except RuleError as refusal:
        refusal.report = escalation(
            con,
            study.experiment_id,
            cycle=plan.cycle,
            condition_count=len(plan.jobs),
            estimate_usd=plan.estimate_usd,
        )
        raise


def _f3(
    study: Study,
    plan: RelaunchPlan,
    *,
    diagnosed_at: datetime,
    run: Callable[..., Ran],
    ask: Callable[[str], str],
) -> tuple[BuildChain, list[Link]]:
    """Measure the chain now; for a resumed cycle only whether its image is unchanged."""
    started = _start_of(study.events, plan.cycle) if plan.is_resumed else None
    remedies = [] if started else plan.remedies
    chain = measure(study, remedies, diagnosed_at=diagnosed_at, run=run, ask=ask)
    links = f3_same_image(chain, image=started.image, digest=started.digest) if started else f3_links(chain)
    f3_rebuild_before_relaunch(links)
    return chain, links


def _start_of(events: Sequence[Event], cycle: int) -> RelaunchEvent | None:
    """Return the newest start of a cycle; a replay's does not count."""
    for event in reversed(events):
        if isinstance(event, RelaunchEvent) and event.cycle == cycle and not event.dry_run:
            return event
    return None


def _refuse_if_changed(
    stored: StoredExperiment,
    plan: RelaunchPlan,
    options: RelaunchOptions,
    selected: Mapping[str, str] | None,
    *,
    now: datetime,
) -> None:
    """Check again under the lock: another process may have launched the same."""
    chosen = choose(
        open_views(stored, now=now, queries=CANDIDATES),
        include_cancelled=options.include_cancelled,
        selected=selected,
    )
    if (chosen.cycle, chosen.condition_ids) != (plan.cycle, plan.condition_ids):
        message = f"another fmon has just relaunched jobs of {stored.experiment_id}; run fmon status first"
        raise LockTaken(message)


def _check(
    stored: StoredExperiment,
    plan: RelaunchPlan,
    writer: JobWriter,
    submitter: Submitter,
    dependencies: LaunchDependencies,
) -> None:
    """Run the checks of launch before the first job costs anything: queue and YAML may have changed."""
    manifest = stored.manifest
    if manifest.is_replay:
        return
    records = dependencies.queue.read().records
    identify(records, stored_jobs(stored.store), manifest)
    f1_wait_for_terminal(open_jobs_of(manifest, records, plan.condition_ids))
    if not plan.is_resumed:  # otherwise some are its own, and dispatch finds out which
        names = {plan.conditions[condition_id].job_name for condition_id in plan.condition_ids}
        f5_factorial_manifest(f5_unrelated_job_faults(unrelated_jobs(manifest, records, names)))
    chosen = [plan.conditions[condition_id] for condition_id in plan.condition_ids]
    only = msgspec.structs.replace(plan.experiment, conditions=chosen)
    found = cost_of(chosen, plan.task, manifest.prices | plan.experiment.prices)
    results = checks(
        only,
        plan.task,
        found,
        parse=lambda: parse_kinds(
            lambda texts: max(map(submitter.parse, texts)), writer, chosen, cycle=plan.cycle
        ),
        environment=writer.environment,
        folder=dependencies.folder,
        consent=Consent(bare_vm=True),  # allowed at the launch; F3 compares what runs
    )
    refuse_failed(results)
