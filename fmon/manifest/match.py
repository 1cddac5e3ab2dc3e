"""Match jobs to conditions by exact names and ids, never by substring.

Pure functions from a manifest and queue records to a decision, which ``ingest`` and ``adopt`` apply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.job_key import job_id_of
from fmon.manifest.claims import Claim, Job, find_claims
from fmon.manifest.identity import is_job_of
from fmon.model import Attempt, Entry, Manifest, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A job that becomes a condition's newest attempt.

    Attributes
    ----------
    cycle
        0 = first launch.
    earlier
        Attempts to add to the condition's earlier ones.
    """

    condition_id: str
    job_key: int
    cycle: int
    earlier: tuple[Attempt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Match:
    """The result of matching records to one experiment.

    Attributes
    ----------
    attach
        Jobs that become a condition's newest attempt.
    own
        Records to store, in the queue's order: of attempts, new and old, and of duplicates.
    duplicates
        Further jobs of conditions that already have one, by condition.
    ended_late
        Further jobs of such conditions that had ended when they were first seen; not stored.
    strangers
        Names of all other jobs.
    missing
        Conditions without a job, even after ``attach``.
    ambiguous
        Users whose jobs all match, if the current user is not among them; nothing is attached by name then.
    user_hash
        User whose jobs belong to the experiment; None = not known yet.
    """

    attach: list[Attachment] = field(default_factory=list)
    own: list[Record] = field(default_factory=list)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    ended_late: list[int] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    user_hash: str | None = None

    @property
    def decided_keys(self) -> set[int]:
        """Keys of all jobs of ``attach`` and ``duplicates``."""
        earlier = {attempt.job_key for each in self.attach for attempt in each.earlier}
        return (
            {each.job_key for each in self.attach}
            | earlier
            | {i for ids in self.duplicates.values() for i in ids}
        )


def match(
    manifest: Manifest,
    records: Sequence[Record],
    *,
    owned_elsewhere: Iterable[tuple[int, str]] = (),
    stored: Mapping[int, bool] | None = None,
    replaces_ended: bool = False,
) -> Match:
    """Match queue records to the conditions of one experiment.

    A job belongs to a condition if it is in the manifest, if its metadata names the condition, or if its job
    name (never a task name) is exactly the condition's and the job is from the experiment's user, was not
    submitted before ``since``, was not rejected for its variables (``adopt``) and does not belong to another
    experiment. Of several such jobs the newest one
    is attached if all earlier ones have ended; otherwise the oldest open one is.

    Parameters
    ----------
    manifest
        The experiment.
    records
        One per job task, all users and experiments.
    owned_elsewhere
        (job_id, job name) of other experiments' attempts.
    stored
        Jobs in the experiment's store, and whether each had ended when it was last seen.
    replaces_ended
        Whether a newer job of the same name replaces an ended one (``adopt``). If not, the newer one is a
        duplicate, or is ignored if it had ended when it was first seen.
    """
    stored = stored or {}
    own_keys: set[int] = set()
    others: dict[int, list[Record]] = {}
    known = _known_jobs(manifest)
    for record in records:
        entry = known.get(record.job_key)
        if entry is not None and is_job_of(record, record.job_key, entry, manifest):
            own_keys.add(record.job_key)
        else:
            others.setdefault(record.job_key, []).append(record)
    jobs = [Job(job_key, tasks) for job_key, tasks in others.items() if job_key not in own_keys]
    claims, user_hash, ambiguous = find_claims(manifest, jobs, known, set(owned_elsewhere))
    found = Match(user_hash=user_hash, ambiguous=ambiguous)
    seen = {job_key: Job(job_key, []) for job_key in own_keys}
    if replaces_ended:
        for record in records:
            if record.job_key in seen:
                seen[record.job_key].tasks.append(record)
    for entry_claims in claims.values():
        _decide(found, entry_claims, seen=seen, stored=stored, replaces_ended=replaces_ended)
    mine = own_keys | found.decided_keys
    found.own.extend(record for record in records if record.job_key in mine)
    found.strangers.extend(
        job.name or f"job {job_id_of(job.job_key)}" for job in jobs if job.job_key not in mine
    )
    attached = {each.condition_id for each in found.attach}
    found.missing.extend(
        entry.condition
        for entry in manifest.jobs
        if entry.job_key is None and entry.condition not in attached
    )
    return found


def attach(manifest: Manifest, found: Match) -> None:
    """Apply a decision to the manifest in memory."""
    entries = {entry.condition: entry for entry in manifest.jobs}
    for each in found.attach:
        entry = entries[each.condition_id]
        entry.attempts = [*entry.attempts, *each.earlier]
        entry.job_key, entry.relaunch_batch = each.job_key, each.cycle
        manifest.current_cycle = max(manifest.current_cycle, each.cycle)
    manifest.user_hash = found.user_hash


def _known_jobs(manifest: Manifest) -> dict[int, Entry]:
    """Index the manifest's attempts by job."""
    return {key: entry for entry in manifest.jobs for key in entry.job_keys}


def _decide(
    found: Match,
    claims: list[Claim],
    *,
    seen: Mapping[int, Job],
    stored: Mapping[int, bool],
    replaces_ended: bool,
) -> None:
    """Decide for each candidate of one condition: newest attempt, duplicate, or neither."""
    entry = claims[0].entry
    taken, earlier = claims, []
    if entry.job_key is not None:
        taken = [claim for claim in claims if claim.cycle > entry.relaunch_batch]
        earlier = [Attempt.of(entry.job_key, cycle=entry.relaunch_batch)]
        current = seen.get(entry.job_key)
        has_ended = current.has_ended if current else stored.get(entry.job_key, False)
        if not taken and replaces_ended and has_ended:
            taken = [claim for claim in claims if current is None or claim.job.order() > current.order()]
            earlier = [Attempt.of(entry.job_key, cycle=entry.relaunch_batch, role="superseded")]
    duplicates = _attach_newest(found, entry, taken, earlier=earlier) if taken else []
    taken_ids = {claim.job.job_key for claim in taken}
    left = {claim.job.job_key: claim.job for claim in claims if claim.job.job_key not in taken_ids}
    late = [job_key for job_key, job in left.items() if job_key not in stored and job.has_ended]
    found.ended_late.extend(late)
    duplicates += left.keys() - set(late)
    if duplicates:
        found.duplicates[entry.condition] = sorted(duplicates)


def _attach_newest(
    found: Match, entry: Entry, claims: list[Claim], *, earlier: Iterable[Attempt]
) -> list[int]:
    """Attach the newest cycle's job after all other attempts; return the duplicates."""
    attempts = list(earlier)
    duplicates: list[int] = []
    for cycle in sorted({claim.cycle for claim in claims}):
        chosen, ended, rest = _choose([claim.job for claim in claims if claim.cycle == cycle])
        attempts += [Attempt.of(job.job_key, cycle=cycle, role="superseded") for job in ended]
        attempts.append(Attempt.of(chosen.job_key, cycle=cycle))
        duplicates += [job.job_key for job in rest]
    newest = attempts.pop()
    found.attach.append(
        Attachment(
            condition_id=entry.condition, job_key=newest.job_key, cycle=newest.cycle, earlier=tuple(attempts)
        )
    )
    return duplicates


def _choose(jobs: list[Job]) -> tuple[Job, list[Job], list[Job]]:
    """Choose among the jobs of one condition and cycle: the one to attach, ended earlier ones, the rest."""
    in_order = sorted(jobs, key=Job.order)
    is_open = [not job.has_ended for job in in_order]
    at = is_open.index(True) if any(is_open) else len(in_order) - 1
    return in_order[at], in_order[:at], in_order[at + 1 :]
