"""One answer of the queue into one experiment's store: match, attach, price, append."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from fmon.errors import ManifestError, QueueError
from fmon.events import AttachEvent, LostJobClosedEvent
from fmon.manifest.build import new_manifest, owned_elsewhere
from fmon.manifest.match import Match, attach, match
from fmon.manifest.stored import StoredExperiment
from fmon.model import EPOCH
from fmon.sky.status import failed_statuses, is_terminal
from fmon.store.compaction import close
from fmon.store.events import read_events
from fmon.store.log import Poll, append
from fmon.store.state import read_columns
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from fmon.model import Manifest, Price, Record
    from fmon.sky.reader import Answer
    from fmon.store.folder import Store

__all__ = ["Ingested", "Match", "ingest", "is_terminal", "match", "new_manifest"]

OPEN = "select 1 from experiment_summary where open_count > 0"

QUIET_DAY = timedelta(hours=24)
"""After so long without a change an experiment with missing conditions is closed; ``adopt`` reopens it."""


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """What one look at the queue did to one experiment.

    Attributes
    ----------
    own_count
        Records that are the experiment's.
    changed_count
        Rows written.
    attached
        Job by condition that is new.
    duplicates
        Jobs by condition that has another one.
    ambiguous
        Users to choose from; nothing was attached by name.
    bad
        One sentence per queue record that did not fit, of the whole answer.
    error
        Why the queue could not be read; it stands in the heartbeat.
    is_closed
        Nothing is left for ``poll`` to look at.
    """

    experiment_id: str
    own_count: int = 0
    changed_count: int = 0
    attached: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    error: str | None = None
    is_closed: bool = False

    def sentence(self) -> str:
        """Say what happened, for stderr."""
        if self.error is not None:
            return f"heartbeat written, the queue did not answer: {self.error}"
        said = [f"{self.own_count} job tasks seen, {self.changed_count} changed"]
        if self.attached:
            said.append(f"attached {listed(f'{name} -> job {job}' for name, job in self.attached.items())}")
        if self.duplicates:
            each = (
                f"{name} also has job {', '.join(map(str, ids))}" for name, ids in self.duplicates.items()
            )
            said.append(f"duplicates: {listed(each)}")
        if self.ambiguous:
            said.append(f"jobs of several users fit ({listed(self.ambiguous)}), none attached")
        if self.is_closed:
            said.append("all ended, closed")
        return "; ".join(said)


def ingest(store: Store, answer: Answer | QueueError, *, source: str, now: datetime) -> Ingested:
    """Store one look at the queue for one experiment.

    Parameters
    ----------
    store
        The experiment.
    answer
        What the queue said, or why it did not.
    source
        Where it was read from.
    now
        The clock [UTC], for a look that failed; a good one has its own time.

    Raises
    ------
    ManifestError, StoreError
        The experiment's files can't be read or written; nothing half-done is left.
    """
    if isinstance(answer, QueueError):
        poll = Poll(polled_at=now, source=source, error_type=answer.error_type, error=str(answer))
        append(store, poll, None)
        return Ingested(experiment_id=store.experiment_id, error=str(answer))
    manifest, found = attach_jobs(StoredExperiment(store), answer, source=source)
    return store_records(store, manifest, found, answer, source=source)


def attach_jobs(stored: StoredExperiment, answer: Answer, *, source: str) -> tuple[Manifest, Match]:
    """Attach jobs of the queue to the conditions that they are, in the manifest.

    Parameters
    ----------
    stored
        The experiment; the caller holds the lock of its folder's polls.
    answer
        What the queue said.
    source
        Where it was read from.

    Returns
    -------
    tuple
        The manifest as written, and what the records are to the experiment.
    """
    with stored.manifest_file.changing() as manifest:
        found = _match(stored.store, manifest, answer.records)
        if found.attach:
            attach(manifest, found)
            stored.manifest_file.write(manifest)
            jobs = {each.condition_id: each.job_id for each in found.attach}
            stored.append(AttachEvent(at=answer.polled_at, jobs=jobs, source=source))
    return manifest, found


def store_records(store: Store, manifest: Manifest, found: Match, answer: Answer, *, source: str) -> Ingested:
    """Price and append the records that are the experiment's own, and close it where all have ended.

    Parameters
    ----------
    store, manifest
        The experiment; its manifest is written already.
    found
        Which of the answer's records are its own.
    answer
        What the queue said.
    source
        Where it was read from.
    """
    _price(found.own, manifest.prices)
    poll = Poll(
        polled_at=answer.polled_at, source=source, latency_s=answer.latency_s, job_count=len(answer.records)
    )
    appended = append(store, poll, found.own, failed=failed_statuses())
    return Ingested(
        experiment_id=store.experiment_id,
        own_count=len(found.own),
        changed_count=appended.changed_count,
        attached={each.condition_id: each.job_id for each in found.attach},
        duplicates=found.duplicates,
        ambiguous=found.ambiguous,
        bad=answer.bad,
        is_closed=_close_if_ended(store, manifest, found, now=answer.polled_at),
    )


def stored_jobs(store: Store) -> dict[int, bool]:
    """List the jobs in the store's state, and whether each had ended when last seen; none without a state."""
    return {job_id: has_ended for job_id, (has_ended, _) in _state(store).items()}


def _match(store: Store, manifest: Manifest, records: Sequence[Record]) -> Match:
    """Match; only where there is a job to decide about is it asked what the store and others have."""
    found = match(manifest, records)
    if not found.decided_ids and not found.ended_late:
        return found
    stored = stored_jobs(store)
    owned: set[tuple[int, str]] = set()
    if not found.decided_ids <= stored.keys():
        try:
            owned = owned_elsewhere(store, manifest)
        except ManifestError:
            # Whose the new jobs are can't be told until that manifest is fixed: take none.
            owned = {(record.job_id, record.job_name) for record in records if record.job_name}
    return match(manifest, records, owned_elsewhere=owned, stored=stored)


def _price(records: Iterable[Record], prices: Mapping[str, Price]) -> None:
    """Write the price into each record; the log keeps the one first seen."""
    if not prices:
        return
    from fmon.sky.prices import price_of  # loads subprocess; many polls have no price to fill in

    known: dict[str | None, tuple[float | None, str | None]] = {}
    for record in records:
        if record.resources not in known:
            known[record.resources] = price_of(record, prices)
        record.price_usd_per_h, record.price_source = known[record.resources]


def _state(store: Store) -> dict[int, tuple[bool, int]]:
    """Read each stored job's (has it ended, when it last changed [us since the epoch])."""
    jobs: dict[int, tuple[bool, int]] = {}
    for job_id, status, changed_at in zip(
        *read_columns(store, ["job_id", "status", "polled_at"]), strict=True
    ):
        has_ended, last = jobs.get(job_id, (True, 0))
        jobs[job_id] = has_ended and is_terminal(status), max(last, changed_at)
    return jobs


def _close_if_ended(store: Store, manifest: Manifest, found: Match, *, now: datetime) -> bool:
    """Close the experiment where nothing is left to look at; what counts as open, view ``condition`` says.

    The view needs DuckDB, so it is asked only where nothing contradicts it already.
    """
    if manifest.is_replay or any(not is_terminal(record.status) for record in found.own):
        return False
    jobs = _state(store)
    needed = {entry.job_id for entry in manifest.jobs if entry.job_id is not None}
    lasting = {job_id for job_id, (has_ended, _) in jobs.items() if not has_ended}
    if not needed <= jobs.keys() or not lasting <= _closed_as_lost(store, lasting):
        return False
    if found.missing:
        changes = [EPOCH + timedelta(microseconds=changed_at) for _, changed_at in jobs.values()]
        if now - max(changes, default=manifest.created_at) < QUIET_DAY:
            return False
    from fmon.warehouse import column, connect

    con = connect(store.path.parent, store.experiment_id, now=now, queries=(OPEN,))
    still_open = column(con, OPEN)
    if not still_open:
        close(store)
    return not still_open


def _closed_as_lost(store: Store, lasting: set[int]) -> set[int]:
    """Choose those of some jobs that the queue has lost and a person has closed."""
    if not lasting:
        return set()
    return {event.job_id for event in read_events(store) if isinstance(event, LostJobClosedEvent)}
