"""Launches in the audit: which were sent, and the result of each.

An intent is written before a launch is sent, its result after it; an intent without a result was
interrupted by a crash, and it is unknown whether the server accepted the launch.
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
    """The unit that is launched exactly once: a condition in a cycle."""

    condition_id: str
    cycle: int


@dataclass
class LaunchHistory:
    """What the audit has about one attempt.

    Attributes
    ----------
    count
        How often it was sent.
    job_id
        The job that the server returned.
    is_uncertain
        Its newest launch may have been accepted.
    why
        What is known about that launch.
    """

    count: int = 0
    job_id: int | None = None
    is_uncertain: bool = False
    why: str = ""


def history_of(events: Iterable[Event]) -> dict[LaunchKey, LaunchHistory]:
    """Return what the audit has about every attempt that was ever sent."""
    known: dict[LaunchKey, LaunchHistory] = {}
    for event in events:
        match event:
            case LaunchIntentEvent(dry_run=False):
                history = known.setdefault(LaunchKey(event.condition_id, event.cycle), LaunchHistory())
                history.count += 1
                history.is_uncertain, history.why = True, "fmon ended before it got the answer"
            case LaunchResultEvent():
                history = known.setdefault(LaunchKey(event.condition_id, event.cycle), LaunchHistory())
                history.job_id = event.job_id if history.job_id is None else history.job_id
                history.is_uncertain, history.why = event.is_uncertain, event.error or ""
    return known


def write_intent(store: Store, attempt: LaunchKey, *, key: str, job_name: str, at: datetime) -> None:
    """Record that a launch is about to be sent."""
    append_event(store, _intent(attempt, key=key, job_name=job_name, at=at))


def write_result(store: Store, attempt: LaunchKey, outcome: Outcome, *, at: datetime) -> None:
    """Record the result of a launch."""
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
    """Record which launches a replayed experiment would make; none is sent."""
    names = {entry.condition: entry.job_name for entry in stored.manifest.jobs}
    for attempt in attempts:
        job_name = names[attempt.condition_id]
        stored.append(_intent(attempt, key=key_of(attempt, 0), job_name=job_name, at=at))


def key_of(attempt: LaunchKey, number: int) -> str:
    """Return the key of one launch of an attempt, by its number."""
    return f"{attempt.condition_id}/{attempt.cycle}/{number}"


def _intent(attempt: LaunchKey, *, key: str, job_name: str, at: datetime) -> LaunchIntentEvent:
    return LaunchIntentEvent(
        at=at, attempt_key=key, condition_id=attempt.condition_id, cycle=attempt.cycle, job_name=job_name
    )
