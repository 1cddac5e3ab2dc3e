"""Record the start of a cycle before its first launch, in the audit and in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.events import CycleAuthorizedEvent, FixVerifiedEvent, RelaunchEvent, VerifiedLink
from fmon.launch.environment import record_environment
from fmon.manifest.build import extend, new_manifest
from fmon.store.durable import lock
from fmon.store.folder import POLL_WAIT_S, poll_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fmon.events import Event
    from fmon.launch.environment import Environment
    from fmon.manifest.stored import StoredExperiment
    from fmon.relaunch.plan import Authorization, RelaunchPlan
    from fmon.rules.f3_rebuild_before_relaunch import BuildChain, Link


def begin(
    stored: StoredExperiment,
    plan: RelaunchPlan,
    chain: BuildChain,
    links: list[Link],
    authorization: Authorization | None,
    environment: Environment,
    *,
    by: str,
    is_over_budget_confirmed: bool,
    now: datetime,
) -> None:
    """Record the start of a cycle, in the audit first, then in the manifest.

    For a resumed cycle the audit already has it, and the manifest may have it.

    Parameters
    ----------
    stored
        The experiment; the caller holds the launch lock.
    plan
        The relaunch.
    chain, links
        The measured chain of F3, and how it was judged.
    authorization
        A person's authorization of this cycle; None = not needed, or already in the audit.
    environment
        The variables of its jobs from outside the config; the manifest keeps the file's path and names.
    by
        The person who relaunches.
    is_over_budget_confirmed
        The estimate exceeds the budget, and that was allowed.
    now
        The clock [UTC].
    """
    if not plan.is_resumed:
        events = _events(
            plan,
            chain,
            links,
            authorization,
            by=by,
            is_over_budget_confirmed=is_over_budget_confirmed,
            now=now,
        )
        for event in events:
            stored.append(event)
    if stored.manifest.is_replay:
        return
    file = stored.manifest_file
    with lock(poll_lock(stored.data), wait_s=POLL_WAIT_S), file.changing() as manifest:
        fresh = new_manifest(
            plan.experiment,
            manifest.experiment_id,
            created_at=manifest.created_at,
            is_replay=False,
            prices=manifest.prices,
        )
        extend(manifest, fresh)
        record_environment(manifest, environment)
        manifest.limits = plan.experiment.limits
        manifest.controller_usd_per_h = plan.experiment.controller_usd_per_h
        manifest.current_cycle = max(manifest.current_cycle, plan.cycle)
        manifest.docker_image = chain.image or manifest.docker_image
        if chain.digest is not None:
            manifest.docker_digest, manifest.docker_digest_source = chain.digest, "launch"
        file.write(manifest)
    stored.store.reopen()


def _events(
    plan: RelaunchPlan,
    chain: BuildChain,
    links: list[Link],
    authorization: Authorization | None,
    *,
    by: str,
    is_over_budget_confirmed: bool,
    now: datetime,
) -> Iterator[Event]:
    """Yield the events of the start; the one that starts the cycle comes last."""
    if authorization is not None:
        yield CycleAuthorizedEvent(
            at=now,
            cycle=authorization.cycle,
            budget_usd=float(authorization.budget_usd),
            by=authorization.by,
        )
    yield FixVerifiedEvent(
        at=now,
        cycle=plan.cycle - 1,
        is_ok=True,
        links=[VerifiedLink(**link._asdict()) for link in links],
        image=chain.image,
        digest=chain.digest,
        commits=list(chain.commits),
    )
    yield RelaunchEvent(
        at=now,
        cycle=plan.cycle,
        condition_ids=plan.condition_ids,
        image=chain.image,
        digest=chain.digest,
        former_digest=chain.old_digest,
        by=by,
        is_over_budget_confirmed=is_over_budget_confirmed,
    )
