"""The audit as other programs read it."""

import json
from datetime import UTC, datetime
from typing import Any

from fmon.events import KillSwitchEvent
from fmon.store.folder import Store

FIRING = KillSwitchEvent(
    at=datetime(2026, 3, 22, 5, 30, tzinfo=UTC),
    cycle=0,
    trigger="identical_errors",
    signature="s",
    category="cuda_oom",
    member_job_ids=[9],
    first_failed_at=datetime(2026, 3, 22, 5, 30, tzinfo=UTC),
    failure_point_s=1.0,
    combination={},
    candidate_job_ids=[],
    no_action_reason=None,
)
"""The kill switch fired in cycle 0."""


def written_events(store: Store, *kinds: str) -> list[dict[str, Any]]:
    """The lines of ``events.jsonl``, of some kinds or of all."""
    if not store.events.exists():
        return []
    lines = [json.loads(line) for line in store.events.read_text().splitlines()]
    return [line for line in lines if not kinds or line["event"] in kinds]
