"""What the audit says of launches: which have left, and what came of each.

An intent is written before a launch leaves, its result behind it; an intent without a result was cut off
by a crash, and nobody knows whether the server has taken it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fmon.events import LaunchIntentEvent, LaunchResultEvent
from fmon.store.events import append_event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fmon.events import Event
    from fmon.manifest.stored import StoredExperiment
    from fmon.sky.submit.submitter import Outcome
    from fmon.store.folder import Store


class LaunchKey(NamedTuple):
    """What is launched exactly once: a condition in a cycle."""

    condition_id: str
    cycle: int


@dataclass
class LaunchHistory:
    """What the audit tells of one attempt.

    Attributes
    ----------
    count
        How often it has left.
    job_id
        The job that the server gave for it.
    is_uncertain
        The newest launch of it may have been taken.
    why
        What is known of that one.
    """

    count: int = 0
    job_id: int | None = None
    is_uncertain: bool = False
    why: str = ""


def history_of(events: Iterable[Event]) -> dict[LaunchKey, LaunchHistory]:
    """Say what the audit tells of every attempt that has ever left."""
    known: dict[LaunchKey, LaunchHistory] = {}
    for event in events:
        match event:
            case LaunchIntentEvent(dry_run=False):
                of = known.setdefault(LaunchKey(event.condition_id, event.cycle), LaunchHistory())
                of.count += 1
                of.is_uncertain, of.why = True, "fmon ended before it had the answer"
            case LaunchResultEvent():
                of = known.setdefault(LaunchKey(event.condition_id, event.cycle), LaunchHistory())
                of.job_id = event.job_id if of.job_id is None else of.job_id
                of.is_uncertain, of.why = event.is_uncertain, event.error or ""
    return known


def write_intent(store: Store, attempt: LaunchKey, *, key: str, job_name: str, at: datetime) -> None:
    """Say that a launch is about to leave."""
    append_event(store, _intent(attempt, key=key, job_name=job_name, at=at))


def write_result(store: Store, attempt: LaunchKey, outcome: Outcome, *, at: datetime) -> None:
    """Say what came of a launch."""
    event = LaunchResultEvent(
        at=at,
        attempt_key=outcome.attempt_key,
        condition_id=attempt.condition_id,
        cycle=attempt.cycle,
        job_id=outcome.job_id,
        error_type=outcome.error_type,
        error=outcome.error,
        is_uncertain=outcome.is_uncertain,
    )
    append_event(store, event)


def write_dry(stored: StoredExperiment, attempts: Iterable[LaunchKey], *, at: datetime) -> None:
    """Say which launches a replayed experiment would make; none ever leaves."""
    names = {entry.condition: entry.job_name for entry in stored.manifest.jobs}
    for attempt in attempts:
        job_name = names[attempt.condition_id]
        stored.append(_intent(attempt, key=key_of(attempt, 0), job_name=job_name, at=at))


def key_of(attempt: LaunchKey, number: int) -> str:
    """Name the number-th launch of an attempt."""
    return f"{attempt.condition_id}/{attempt.cycle}/{number}"


def _intent(attempt: LaunchKey, *, key: str, job_name: str, at: datetime) -> LaunchIntentEvent:
    return LaunchIntentEvent(
        at=at, attempt_key=key, condition_id=attempt.condition_id, cycle=attempt.cycle, job_name=job_name
    )
