"""Phase 5, relaunch: what view ``relaunch_candidate`` lists, and only that, in one more cycle, under F1..F5.

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

from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import failures, unfinished
from fmon.errors import ConfigError, RuleError
from fmon.events import CycleAuthorizedEvent, RelaunchEvent
from fmon.fix.chain import measure, run_command
from fmon.launch.dispatch import DispatchOutcome, LaunchKey, dispatch, exclusive
from fmon.launch.estimate import cost_of
from fmon.launch.job_yaml import JobWriter
from fmon.launch.preflight import checks, parse_kinds
from fmon.launch.refusals import confirm_over_budget, refuse_failed, refuse_job_names, strangers
from fmon.manifest.stored import StoredExperiment
from fmon.relaunch.begin import begin
from fmon.relaunch.escalation import QUERIES as ESCALATION
from fmon.relaunch.escalation import escalation
from fmon.relaunch.plan import LISTED, NEXT, Authorization, RelaunchPlan, choose, plan_relaunch
from fmon.relaunch.plan import QUERIES as AGAIN
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
from fmon.rules.f5_factorial_manifest import f5_factorial_manifest, f5_stranger_faults
from fmon.store.durable import LockTaken
from fmon.warehouse import open_views
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import duckdb

    from fmon.events import Event
    from fmon.fix.chain import Ran
    from fmon.launch.launch import LaunchDependencies
    from fmon.model import Manifest
    from fmon.rules.f3_rebuild_before_relaunch import BuildChain, Link
    from fmon.sky.submit.submitter import Submitter
    from fmon.study import Study

QUERIES = (*AGAIN, *GATHERED, *ESCALATION, *TRACKING)
"""What is asked; ``connect`` makes the views for it."""


@dataclass(frozen=True, kw_only=True)
class Relaunched:
    """What was to be run again, and what became of it; ``dispatched`` is None where nothing was launched."""

    plan: RelaunchPlan
    is_replay: bool
    dispatched: DispatchOutcome | None = None

    def sentences(self, *, is_dry: bool) -> list[str]:
        """Say what was done and what comes next, for stderr."""
        said = self.plan.sentences()
        if not self.plan.jobs:
            return [*said, "next: fmon report"]
        if self.dispatched is None:
            return [*said, "a dry run: nothing was changed" if is_dry else "nothing was launched"]
        if self.is_replay:
            return [*said, "a replay: written down in events.jsonl, nothing was launched"]
        count = len(self.dispatched.launched)
        found = f", {len(self.dispatched.found)} were up already" if self.dispatched.found else ""
        return [*said, f"{count:,} launched{found}; next: fmon watch -e {self.plan.experiment_id}"]


@dataclass(frozen=True, kw_only=True)
class RelaunchOptions:
    """How a person wants it.

    Attributes
    ----------
    by
        who
    selections
        of the conditions to run again; none = all that can be
    include_cancelled
        include jobs that a person cancelled
    authorization
        of one cycle beyond the limit; None = none
    is_over_budget_allowed
        launch even if the estimate exceeds the budget
    confirm
        asks whether to exceed the budget; None = no question may be asked
    """

    by: str
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
    """Run again what failed, what the kill switch cancelled and what was closed as lost, as the next cycle.

    A cycle that was started and interrupted is resumed: it does not count as another, and its image must be
    the one that it was started with.

    Parameters
    ----------
    study
        The experiment.
    dependencies
        What is asked and changed outside.
    agree
        Asked once every rule has passed; False = nothing is done (a dry run).
    options
        How a person wants it.
    run
        How the test command is run.

    Raises
    ------
    RuleError
        F1 to F5; nothing was launched or written. F4 carries the report for the person who decides.
    ConfigError
        The config can't be used, a gate of launch refuses, the budget would be exceeded, or an authorization
        fits no cycle that could come now; nothing was launched or written.
    LockTaken
        Another process launches jobs of this experiment.
    QueueError
        SkyPilot did not answer; a cycle that was started is resumed by the next call.
    """
    clock, manifest = dependencies.clock, study.manifest
    con = study.connect(QUERIES, now=clock.now())
    selected = select_current(study, options.selections, now=clock.now()) if options.selections else None
    plan = plan_relaunch(study, con, include_cancelled=options.include_cancelled, selected=selected)
    diagnosed_at = _f1_and_f2(study, con, plan)
    if not plan.jobs:
        return Relaunched(plan=plan, is_replay=manifest.is_replay)
    # Before F3: who may not relaunch anyway need not wait for tests, or build an image in vain.
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
        stored = StoredExperiment(study.store)  # read again: whoever held the lock may have changed it
        _refuse_if_changed(stored, plan, options, selected, now=clock.now())
        writer = JobWriter(plan.task, plan.experiment, plan.experiment_id, dependencies.environ)
        _gates(stored.manifest, plan, writer, submitter, dependencies)
        begin(
            stored,
            plan,
            chain,
            links,
            options.authorization,
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
            limits=dependencies.limits,
            progress=dependencies.progress,
        )
    return Relaunched(plan=plan, is_replay=manifest.is_replay, dispatched=dispatched)


def _f1_and_f2(study: Study, con: duckdb.DuckDBPyConnection, plan: RelaunchPlan) -> datetime:
    """Ask F1 and F2, and return when the diagnosis that the fix follows was finished [UTC]."""
    f1_wait_for_terminal(unfinished(con, cycle=plan.cycle))
    failed = failures(con, cycle=plan.cycle)
    f2_aggregate_before_fix(failed)
    if failed and not plan.is_carried_on:  # some that the diagnosis named may be made good already
        return f2_diagnosed_in_full(study.events, plan.cycle - 1, failed)
    return study.manifest.created_at


def _confirm_budget(manifest: Manifest, plan: RelaunchPlan, options: RelaunchOptions) -> bool:
    """Exceed the budget only where that is allowed; return whether it is exceeded.

    A cycle beyond the allowed ones has a budget of its own, which F4 has compared with the estimate.
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
    """Let a cycle beyond the allowed ones pass only on a person's word; else give the report."""
    budgets = {
        event.cycle: Decimal(str(event.budget_usd))
        for event in study.events
        if isinstance(event, CycleAuthorizedEvent)
    }
    most = study.manifest.max_relaunch_cycles
    if authorization is not None:
        if authorization.cycle != plan.cycle:
            message = (
                f"--authorize-cycle {authorization.cycle} fits no cycle that could come now; "
                f"the next one is {plan.cycle}"
            )
            raise ConfigError(message)
        budgets[authorization.cycle] = authorization.budget_usd
    try:
        f4_max_two_cycles(plan.cycle, most=most, budgets=budgets, estimate_usd=plan.estimate_usd)
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
    """Measure the chain now; of a cycle that is resumed only whether the image is still its own."""
    begun = _start_of(study.events, plan.cycle) if plan.is_carried_on else None
    remedies = frozenset() if begun else plan.remedies
    chain = measure(study, remedies, diagnosed_at=diagnosed_at, run=run, ask=ask)
    links = f3_same_image(chain, image=begun.image, digest=begun.digest) if begun else f3_links(chain)
    f3_rebuild_before_relaunch(links)
    return chain, links


def _start_of(events: Sequence[Event], cycle: int) -> RelaunchEvent | None:
    """Find the newest start of a cycle; that of a replay was none."""
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
    """Check again under the lock: whoever held it before may have launched the same."""
    then = choose(
        open_views(stored, now=now, queries=(LISTED, NEXT)),
        include_cancelled=options.include_cancelled,
        selected=selected,
    )
    if (then.cycle, then.condition_ids) != (plan.cycle, plan.condition_ids):
        message = (
            f"another fmon has relaunched jobs of {stored.experiment_id} meanwhile; look at fmon status first"
        )
        raise LockTaken(message)


def _gates(
    manifest: Manifest,
    plan: RelaunchPlan,
    writer: JobWriter,
    submitter: Submitter,
    dependencies: LaunchDependencies,
) -> None:
    """Look at what launch looks at before the first job is paid for: queue and YAML are not as they were."""
    if manifest.is_replay:
        return
    if not plan.is_carried_on:  # else some are its own, and dispatch tells which
        names = {plan.conditions[condition_id].job_name for condition_id in plan.condition_ids}
        f5_factorial_manifest(
            f5_stranger_faults(strangers(manifest, dependencies.queue.read().records, names))
        )
    chosen = [plan.conditions[condition_id] for condition_id in plan.condition_ids]
    only = msgspec.structs.replace(plan.experiment, conditions=chosen)
    refuse_job_names(only)
    found = cost_of(chosen, plan.task, manifest.prices | plan.experiment.prices)
    looked = checks(
        only,
        plan.task,
        found,
        parse=lambda _: parse_kinds(submitter.parse, writer, chosen, cycle=plan.cycle),
        environ=dependencies.environ,
        folder=dependencies.folder,
    )
    refuse_failed(looked)
