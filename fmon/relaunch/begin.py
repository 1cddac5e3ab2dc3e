"""The begin of a cycle: written down before its first launch, in the audit and in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.manifest.build import extend, new_manifest
from fmon.store.durable import lock
from fmon.store.events import append_event
from fmon.store.folder import POLL_WAIT_S, poll_lock

if TYPE_CHECKING:
    from datetime import datetime

    from fmon.manifest.stored import StoredExperiment
    from fmon.relaunch.plan import Authorization, RelaunchPlan
    from fmon.rules.f3_rebuild_before_relaunch import BuildChain, Link
    from fmon.store.folder import Store


def begin(
    stored: StoredExperiment,
    plan: RelaunchPlan,
    chain: BuildChain,
    links: list[Link],
    authorization: Authorization | None,
    *,
    now: datetime,
) -> None:
    """Write a cycle down: in the audit first, then in the manifest.

    Of a cycle that is resumed the audit has all this already, and the manifest may have.

    Parameters
    ----------
    stored : the experiment; the caller is the only one who launches its jobs
    plan : what is run again
    chain, links : what was measured of F3, and how it was judged
    authorization : a person's word for this cycle; None = it needs none, or has one in the audit
    now : the clock [UTC]
    """
    dry_run = {"dry_run": True} if stored.manifest.is_replay else {}
    if not plan.is_carried_on:
        _record(stored.store, plan, chain, links, authorization, now=now, dry_run=dry_run)
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
        manifest.limits = plan.experiment.limits
        manifest.current_cycle = max(manifest.current_cycle, plan.cycle)
        manifest.docker_image = chain.image or manifest.docker_image
        manifest.docker_digest = chain.digest or manifest.docker_digest
        file.write(manifest)
    stored.store.reopen()


def _record(
    store: Store,
    plan: RelaunchPlan,
    chain: BuildChain,
    links: list[Link],
    authorization: Authorization | None,
    *,
    now: datetime,
    dry_run: dict[str, Any],
) -> None:
    if authorization is not None:
        append_event(
            store,
            "cycle_authorized",
            at=now,
            cycle=authorization.cycle,
            budget_usd=float(authorization.budget_usd),
            by=authorization.by,
            **dry_run,
        )
    append_event(
        store,
        "fix_verified",
        at=now,
        cycle=plan.cycle - 1,
        is_ok=True,
        links=[link._asdict() for link in links],
        image=chain.image,
        digest=chain.digest,
        commits=list(chain.commits),
        **dry_run,
    )
    append_event(
        store,
        "relaunch",
        at=now,
        cycle=plan.cycle,
        condition_ids=plan.condition_ids,
        image=chain.image,
        digest=chain.digest,
        former_digest=chain.old_digest,
        **dry_run,
    )
