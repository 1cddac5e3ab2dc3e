"""Events of the audit (``events.jsonl``) -> the source relations made of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fmon.rules.f3_rebuild_before_relaunch import bare_vm_launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Event = dict[str, Any]
Values = tuple[Any, ...]


def _of(kind: str, events: Iterable[Event]) -> Iterator[tuple[int, Event]]:
    """List the events of a kind, each with its position among all."""
    return ((number, event) for number, event in enumerate(events, start=1) if event.get("event") == kind)


def _firings(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Give what the kill-switch recorded, in the order in which it fired."""
    for number, (position, event) in enumerate(_of("kill_switch", events), start=1):
        yield (
            experiment_id,
            number,
            event["trigger"],
            event["signature"],
            event["category"],
            event["cycle"],
            position,
            [str(job_id) for job_id in event["member_job_ids"]],
            _time(event["first_failed_at"]),
            _time(event["at"]),
            event["failure_point_s"],
            list(event["combination"].items()),
            [str(job_id) for job_id in event["candidate_job_ids"]],
            event["no_action_reason"],
        )


def _diagnoses(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of("diagnosis", events):
        causes = [cause["root_cause_id"] for cause in event["causes"]]
        yield (
            experiment_id,
            causes,
            event["is_preliminary"],
            event["cycle"],
            event["failed_count"],
            position,
            _time(event["at"]),
        )


def _fixes(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of("fix", events):
        when = event["cycle"], position, _time(event["at"])
        yield experiment_id, event["root_cause_id"], event["what"], event["by"], *when


def _checks(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of("fix_verified", events):
        when = event["cycle"], position, _time(event["at"])
        yield experiment_id, event["image"], event["digest"], event["is_ok"], *when


def _relaunches(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Give what was really started: the relaunch of a replay launches nothing."""
    for position, event in _of("relaunch", events):
        if not event.get("dry_run"):
            yield experiment_id, event["condition_ids"], event["cycle"], position, _time(event["at"])


def _authorizations(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    for position, event in _of("cycle_authorized", events):
        what = event["by"], event["cycle"], event["budget_usd"]
        yield experiment_id, *what, position, _time(event["at"])


def _cancel_requests(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Give each job once: whoever asked first decides whether it is to be run again."""
    first: dict[int, tuple[int, Event]] = {}
    for position, event in _of("cancel_requested", events):
        for job_id in event["job_ids"]:
            first.setdefault(job_id, (position, event))
    for job_id, (position, event) in first.items():
        yield experiment_id, job_id, event["reason"], event["by"], position, _time(event["at"])


def _closures(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Give each lost job once, as it was closed first."""
    first: dict[int, tuple[int, Event]] = {}
    for position, event in _of("lost_job_closed", events):
        first.setdefault(event["job_id"], (position, event))
    for job_id, (position, event) in first.items():
        what = event["condition_id"], job_id, event["by"], event["reason"]
        yield experiment_id, *what, position, _time(event["at"])


def _bare_vms(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    launch = bare_vm_launch(events)
    if launch:
        yield experiment_id, launch["by"], _time(launch["at"])


def _issues(experiment_id: str, events: list[Event]) -> Iterator[Values]:
    """Give what was filed; of a recording nothing ever is."""
    for position, event in _of("issue", events):
        if not event.get("dry_run"):
            where = event["repository"], event["action"], event["url"]
            yield experiment_id, event["root_cause_id"], *where, position, _time(event["at"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


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
    "filed_issue": _issues,
}
"""Per source relation: experiment_id and all its events -> rows, in the order of its columns."""
