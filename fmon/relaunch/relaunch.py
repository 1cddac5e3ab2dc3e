"""Phase 5, relaunch: what view ``relaunch_candidate`` lists, and only that, in one more cycle, under F1..F5.

Reads the views, the config, git and the registry; launches through ``fmon.launch.dispatch``; writes
events and the manifest. The event ``relaunch`` comes before the first launch: after a crash the next call
finds the cycle started and resumes it (docs/decisions/0017).
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fmon.clients.registry import digest_of
from fmon.diagnose.gate import QUERIES as GATHERED
from fmon.diagnose.gate import failures, unfinished
from fmon.errors import ConfigError, RuleError
from fmon.fix.chain import measure, run_command
from fmon.launch.dispatch import DispatchOutcome, LaunchKey, dispatch, exclusive
from fmon.launch.estimate import cost_of
from fmon.launch.job_yaml import JobWriter
from fmon.launch.preflight import checks, parse_kinds
from fmon.launch.refusals import refuse_failed, refuse_job_names, strangers
from fmon.manifest.file import read_manifest
from fmon.relaunch.begin import begin
from fmon.relaunch.escalation import QUERIES as ESCALATION
from fmon.relaunch.escalation import escalation
from fmon.relaunch.plan import QUERIES as AGAIN
from fmon.relaunch.plan import Authorization, RelaunchPlan, plan_relaunch
from fmon.relaunch.untracked import QUERIES as TRACKING
from fmon.relaunch.untracked import untracked_faults
from fmon.rules.f1_wait_for_terminal import f1_wait_for_terminal
from fmon.rules.f2_aggregate_before_fix import f2_aggregate_before_fix, f2_diagnosed_in_full
from fmon.rules.f3_rebuild_before_relaunch import (
    bare_vm_launch,
    f3_links,
    f3_rebuild_before_relaunch,
    f3_same_image,
)
from fmon.rules.f4_max_two_cycles import f4_max_two_cycles
from fmon.rules.f5_factorial_manifest import f5_factorial_manifest, f5_stranger_faults
from fmon.store.durable import LockTaken
from fmon.store.events import read_events
from fmon.store.folder import find
from fmon.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from fmon.fix.chain import Ran
    from fmon.model import Manifest
    from fmon.rules.f3_rebuild_before_relaunch import BuildChain, Link
    from fmon.sky.reader import QueueReader
    from fmon.sky.submit.submitter import Submitter
    from fmon.store.folder import Store

QUERIES = (*AGAIN, *GATHERED, *ESCALATION, *TRACKING)
"""What is asked; ``connect`` makes the views for it."""

Row = dict[str, Any]


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
        return [*said, f"{count:,} launched{found}; next: fmon watch {self.plan.experiment_id}"]


def relaunch(
    data: Path,
    experiment: str | None = None,
    *,
    queue: QueueReader,
    open_submitter: Callable[[int], Submitter],
    agree: Callable[[RelaunchPlan], bool],
    clock: Callable[[], datetime],
    include_cancelled: bool = False,
    authorization: Authorization | None = None,
    run: Callable[..., Ran] = run_command,
    ask: Callable[[str], str] = digest_of,
    **dispatching: Any,
) -> Relaunched:
    """Run again what failed, what the kill-switch cancelled and what was closed as lost, as the next cycle.

    A cycle that was started and interrupted is resumed: it does not count as another, and its image must be
    the one that it was started with.

    Parameters
    ----------
    data : data directory
    experiment : its id or a unique prefix; None = the newest
    queue : where jobs are read from
    open_submitter : opens what launches; takes the lock's file descriptor
    agree : asked once every rule has passed; False = nothing is done (a dry run)
    clock : the clock [UTC]
    include_cancelled : include jobs that a person cancelled
    authorization : a person's word for one cycle beyond the allowed ones
    run, ask : how the test command is run, and a registry asked
    dispatching : passed on to ``fmon.launch.dispatch.dispatch``

    Raises
    ------
    RuleError
        F1 to F5; nothing was launched or written. F4 carries the report for the person who decides.
    ConfigError
        The config can't be used, a gate of launch refuses, or an authorization fits no cycle that could
        come now; nothing was launched or written.
    LockTaken
        Another process launches jobs of this experiment.
    QueueError
        SkyPilot did not answer; a cycle that was started is resumed by the next call.
    """
    store = find(data, experiment)
    manifest = read_manifest(store)
    con = connect(data, store.experiment_id, now=clock(), queries=QUERIES)
    plan = plan_relaunch(manifest, con, include_cancelled=include_cancelled)
    events = read_events(store)

    f1_wait_for_terminal(unfinished(con, cycle=plan.cycle))
    failed = failures(con, cycle=plan.cycle)
    f2_aggregate_before_fix(failed)
    diagnosed_at = manifest.created_at
    if failed and not plan.is_carried_on:  # some that the diagnosis named may be made good already
        diagnosed_at = datetime.fromisoformat(f2_diagnosed_in_full(events, plan.cycle - 1, failed))
    if not plan.jobs:
        return Relaunched(plan=plan, is_replay=manifest.is_replay)
    # Before F3: who may not relaunch anyway need not wait for tests, or build an image in vain.
    _f4(store, manifest, con, plan, events, authorization)
    chain, links = _f3(manifest, plan, events, diagnosed_at=diagnosed_at, data=data, run=run, ask=ask)
    f5_factorial_manifest(untracked_faults(manifest, con, cycle=plan.cycle))

    if not agree(plan):
        return Relaunched(plan=plan, is_replay=manifest.is_replay)
    with exclusive(data, manifest.experiment_name) as hold, closing(open_submitter(hold)) as submitter:
        _refuse_if_changed(store, plan, include_cancelled=include_cancelled, now=clock())
        writer = JobWriter(plan.task, plan.experiment, plan.experiment_id, os.environ)
        _gates(manifest, plan, writer, submitter, queue)
        begin(store, plan, chain, links, authorization, now=clock())
        dispatched = dispatch(
            store,
            [LaunchKey(condition_id, plan.cycle) for condition_id in plan.condition_ids],
            submitter,
            queue,
            task_yaml=lambda entry, cycle: writer.of(plan.conditions[entry.condition], cycle),
            clock=clock,
            **dispatching,
        )
    return Relaunched(plan=plan, is_replay=manifest.is_replay, dispatched=dispatched)


def _f4(
    store: Store,
    manifest: Manifest,
    con: duckdb.DuckDBPyConnection,
    plan: RelaunchPlan,
    events: list[Row],
    authorization: Authorization | None,
) -> None:
    """Let a cycle beyond the allowed ones pass only on a person's word; else give the report."""
    budgets = {
        event["cycle"]: Decimal(str(event["budget_usd"]))
        for event in events
        if event.get("event") == "cycle_authorized"
    }
    most = manifest.max_relaunch_cycles
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
            store.experiment_id,
            cycle=plan.cycle,
            condition_count=len(plan.jobs),
            estimate_usd=plan.estimate_usd,
        )
        raise


def _f3(
    manifest: Manifest,
    plan: RelaunchPlan,
    events: list[Row],
    *,
    diagnosed_at: datetime,
    data: Path,
    run: Callable[..., Ran],
    ask: Callable[[str], str],
) -> tuple[BuildChain, list[Link]]:
    """Measure the chain now; of a cycle that is resumed only whether the image is still its own."""
    begun = next((event for event in reversed(events) if _begins(event, plan)), None)
    remedies = frozenset() if begun else plan.remedies
    chain = measure(
        manifest,
        remedies,
        diagnosed_at=diagnosed_at,
        data=data,
        bare_vm=bare_vm_launch(events),
        run=run,
        ask=ask,
    )
    links = f3_same_image(chain, image=begun["image"], digest=begun["digest"]) if begun else f3_links(chain)
    f3_rebuild_before_relaunch(links)
    return chain, links


def _begins(event: Row, plan: RelaunchPlan) -> bool:
    return (
        plan.is_carried_on
        and event.get("event") == "relaunch"
        and event.get("cycle") == plan.cycle
        and not event.get("dry_run")
    )


def _refuse_if_changed(store: Store, plan: RelaunchPlan, *, include_cancelled: bool, now: datetime) -> None:
    """Look again under the lock: whoever held it before may have launched the same."""
    con = connect(store.path.parent, store.experiment_id, now=now, queries=AGAIN)
    then = plan_relaunch(read_manifest(store), con, include_cancelled=include_cancelled)
    if (then.cycle, then.condition_ids) != (plan.cycle, plan.condition_ids):
        message = (
            f"another fmon has relaunched jobs of {store.experiment_id} meanwhile; look at fmon status first"
        )
        raise LockTaken(message)


def _gates(
    manifest: Manifest, plan: RelaunchPlan, writer: JobWriter, submitter: Submitter, queue: QueueReader
) -> None:
    """Look at what launch looks at before the first job is paid for: queue and YAML are not as they were."""
    if manifest.is_replay:
        return
    if not plan.is_carried_on:  # else some are its own, and dispatch tells which
        names = {plan.conditions[condition_id].job_name for condition_id in plan.condition_ids}
        f5_factorial_manifest(f5_stranger_faults(strangers(manifest, queue.read().records, names)))
    chosen = [plan.conditions[condition_id] for condition_id in plan.condition_ids]
    only = msgspec.structs.replace(plan.experiment, conditions=chosen)
    refuse_job_names(only)
    found = cost_of(chosen, plan.task, manifest.prices | plan.experiment.prices)
    looked = checks(
        only,
        plan.task,
        found,
        parse=lambda _: parse_kinds(submitter.parse, writer, chosen, cycle=plan.cycle),
        environ=os.environ,
        folder=Path.cwd(),
    )
    refuse_failed(looked)
