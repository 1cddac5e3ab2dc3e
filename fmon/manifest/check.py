"""Check the consistency of a manifest whose keys have the right types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fmon.job_key import job_id_of
from fmon.model import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.model import Level, Manifest


ENTRY_KEYS = {field.name for field in msgspec.structs.fields(Entry)} - {"factors"}
"""Keys that every entry has in the file, in addition to one per factor."""


def fault_of(manifest: Manifest, experiment_id: str) -> Iterator[str]:
    """Yield the inconsistencies of a manifest, entry by entry.

    Parameters
    ----------
    manifest
        The manifest.
    experiment_id
        Name of the folder that contains it.
    """
    if manifest.experiment_id != experiment_id:
        yield (
            f"experiment_id is {manifest.experiment_id!r}, but the folder is named {experiment_id!r} "
            "(was it copied or renamed?)"
        )
    if manifest.created_at.tzinfo is None:
        yield "created_at has no time zone"
    yield from _factor_faults(manifest.factors)
    count = len(manifest.jobs)
    if manifest.expected_job_count != count:
        yield f"expected_job_count is {manifest.expected_job_count}, but there are {count} entries"
    known = {name: {(type(level), level) for level in levels} for name, levels in manifest.factors.items()}
    for number, entry in enumerate(manifest.jobs, start=1):
        for fault in (
            *_level_faults(entry, known),
            *_cycle_faults(entry, manifest.current_cycle),
            *_time_faults(entry),
        ):
            yield f"{_name(number, entry)}: {fault}"
    yield from _duplicates(manifest.jobs)


def name_faults(factors: Iterable[str]) -> Iterator[str]:
    """Yield an error for each factor with the name of a key of the entries."""
    for name in factors:
        if name in ENTRY_KEYS or name == "factors":
            yield f"factor {name!r} has the name of a key that every entry has; rename the factor"


def _factor_faults(factors: dict[str, list[Level]]) -> Iterator[str]:
    yield from name_faults(factors)
    for name, levels in factors.items():
        if not levels:
            yield f"factor {name!r} has no levels"
        if len({(type(level), level) for level in levels}) != len(levels):
            yield f"factor {name!r} has a level twice"


def _level_faults(entry: Entry, known: dict[str, set[tuple[Any, Any]]]) -> Iterator[str]:
    """Compare an entry's levels with the factors; a baseline may have fewer factors and other levels."""
    factors = entry.factors
    if entry.kind == "baseline":
        yield from (f"unknown factor {name!r}" for name in factors if name not in known)
        return
    # By type and value: True == 1 and 1 == 1.0 in Python, not in a config.
    for name, levels in known.items():
        if name not in factors:
            yield f"factor {name!r} is missing"
        elif (type(factors[name]), factors[name]) not in levels:
            yield f"{factors[name]!r} is not a level of factor {name!r}"
    if len(factors) > len(known):
        yield from (f"unknown factor {name!r}" for name in factors if name not in known)


def _cycle_faults(entry: Entry, current_cycle: int) -> Iterator[str]:
    if entry.relaunch_batch > current_cycle:
        yield f"relaunch_batch is {entry.relaunch_batch}, but current_cycle is {current_cycle}"
    for attempt in entry.attempts:
        if attempt.cycle > entry.relaunch_batch:
            yield (
                f"job {attempt.job_id} is an attempt of cycle {attempt.cycle}, "
                f"after relaunch_batch {entry.relaunch_batch}"
            )


def _time_faults(entry: Entry) -> Iterator[str]:
    start, end = entry.start_time, entry.end_time
    if (start and start.tzinfo is None) or (end and end.tzinfo is None):
        yield "start_time or end_time has no time zone"


def _duplicates(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the duplicates among conditions, job names and the job_ids of all attempts."""
    conditions: dict[str, int] = {}
    names: dict[str, int] = {}
    jobs: dict[int, int] = {}
    for number, entry in enumerate(entries, start=1):
        if (first := conditions.setdefault(entry.condition, number)) != number:
            yield f"{_name(number, entry)}: entry {first} is the same condition"
        if (first := names.setdefault(entry.job_name, number)) != number:
            yield f"{_name(number, entry)}: job_name {entry.job_name!r} is already used in entry {first}"
        own = entry.job_keys
        ids = [job_id_of(key) for key in own]
        if len(set(own)) != len(own):
            yield f"{_name(number, entry)}: a job_id appears twice among its attempts {ids}"
        for key, job_id in zip(own, ids, strict=True):
            if (first := jobs.setdefault(key, number)) != number:
                yield f"{_name(number, entry)}: job_id {job_id} is already used in entry {first}"


def _name(number: int, entry: Entry) -> str:
    return f"entry {number} (condition {entry.condition!r})"
