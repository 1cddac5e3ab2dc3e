"""Convert the events of the audit log (``events.jsonl``) to source relations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fmon.events import (
    AdoptEvent,
    CancelRequestedEvent,
    CycleAuthorizedEvent,
    DiagnosisEvent,
    FixEvent,
    FixVerifiedEvent,
    ImageAssumedEvent,
    IssueEvent,
    KillSwitchEvent,
    LostJobClosedEvent,
    NoFixEvent,
    RelaunchEvent,
)
from fmon.job_key import job_id_of
from fmon.rules.f3_rebuild_before_relaunch import bare_vm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fmon.events import Event

Values = tuple[Any, ...]
Kind = TypeVar("Kind")


def _of(kind: type[Kind], events: Iterable[Event]) -> Iterator[tuple[int, Kind]]:
    """Yield the events of a kind, each with its position among all events."""
    return ((number, event) for number, event in enumerate(events, start=1) if isinstance(event, kind))


def _firings(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield the firings of the kill switch, in order."""
    for number, (position, event) in enumerate(_of(KillSwitchEvent, events), start=1):
        yield (
            experiment_id,
            number,
            event.trigger,
            event.signature,
            event.category,
            event.cycle,
            position,
            [str(job_id_of(key)) for key in event.member_job_ids],
            [str(key) for key in event.member_job_ids],
            event.first_failed_at,
            event.at,
            event.failure_point_s,
            list(event.combination.items()),
            [str(job_id_of(key)) for key in event.candidate_job_ids],
            [str(key) for key in event.candidate_job_ids],
            event.no_action_reason,
        )


def _diagnoses(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of(DiagnosisEvent, events):
        causes = [cause.root_cause_id for cause in event.causes]
        what = event.is_preliminary, event.cycle, event.failed_count
        yield experiment_id, causes, *what, position, event.at


def _fixes(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield what was recorded about root causes, including that nothing was changed."""
    for position, event in enumerate(events, start=1):
        if isinstance(event, FixEvent):
            what, is_without_fix = event.what, False
        elif isinstance(event, NoFixEvent):
            what, is_without_fix = event.reason, True
        else:
            continue
        who = event.by, is_without_fix, event.cycle
        yield experiment_id, event.root_cause_id, what, *who, position, event.at


def _checks(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of(FixVerifiedEvent, events):
        what = event.image, event.digest, event.is_ok, event.cycle
        yield experiment_id, *what, position, event.at


def _relaunches(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield the relaunches, except those of a replay, which launch nothing."""
    for position, event in _of(RelaunchEvent, events):
        if not event.dry_run:
            yield experiment_id, event.condition_ids, event.cycle, position, event.at


def _authorizations(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of(CycleAuthorizedEvent, events):
        yield experiment_id, event.by, event.cycle, event.budget_usd, position, event.at


def _cancel_requests(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield each job once: the first request decides whether it is to be relaunched."""
    first: dict[int, tuple[int, CancelRequestedEvent]] = {}
    for position, event in _of(CancelRequestedEvent, events):
        for key in event.job_ids:
            first.setdefault(key, (position, event))
    for key, (position, event) in first.items():
        yield experiment_id, job_id_of(key), key, event.reason, event.by, position, event.at


def _closures(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield each closure: a job that came back and was lost again is closed again."""
    for position, event in _of(LostJobClosedEvent, events):
        yield (
            experiment_id,
            event.condition_id,
            job_id_of(event.job_id),
            event.job_id,
            event.by,
            event.reason,
            position,
            event.at,
        )


def _bare_vms(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    allowed = bare_vm(events)
    if allowed:
        yield experiment_id, allowed.step, allowed.by, allowed.at


def _assumed_images(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield the newest digest that was assumed to be that of adopted jobs."""
    found = [
        ("adoption" if isinstance(event, AdoptEvent) else "fix verify", event)
        for event in events
        if isinstance(event, ImageAssumedEvent) or (isinstance(event, AdoptEvent) and event.is_digest_assumed)
    ]
    for step, event in found[-1:]:
        yield experiment_id, step, event.image, event.digest, event.at


def _issues(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Yield the filed issues; for a replay, none are filed."""
    for position, event in _of(IssueEvent, events):
        if not event.dry_run:
            where = event.repository, event.action, event.url
            yield experiment_id, event.root_cause_id, *where, position, event.at


RELATIONS: dict[str, Callable[[str, list[Event]], Iterator[Values]]] = {
    "firing": _firings,
    "diagnosis": _diagnoses,
    "fix_record": _fixes,
    "fix_check": _checks,
    "cycle_start": _relaunches,
    "cycle_authorization": _authorizations,
    "cancel_request": _cancel_requests,
    "lost_job_closure": _closures,
    "bare_vm": _bare_vms,
    "assumed_image": _assumed_images,
    "filed_issue": _issues,
}
"""Functions that return the rows of each source relation, given experiment_id and events."""
