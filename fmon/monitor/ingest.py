"""Store one answer of the queue for one experiment: match, attach, price, append."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from fmon.errors import ManifestError, QueueError
from fmon.events import AttachEvent, LostJobClosedEvent
from fmon.job_key import job_id_of
from fmon.manifest.api_server import OtherServerError, note_server, refuse_other_server
from fmon.manifest.build import jobs_of, new_manifest, owned_elsewhere
from fmon.manifest.identity import assume_newest, identify, stored_jobs
from fmon.manifest.match import Match, attach, match
from fmon.manifest.stored import StoredExperiment
from fmon.model import EPOCH
from fmon.sky.status import failed_statuses, is_terminal
from fmon.store.compaction import close, compact_fully
from fmon.store.events import read_events
from fmon.store.log import Poll, append, is_unchanged
from fmon.store.state import read_columns
from fmon.store.variable_checks import mark_unchecked
from fmon.text import clock, duration, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from fmon.model import Manifest, Price, Record
    from fmon.sky.reader import Answer
    from fmon.store.folder import Store

__all__ = ["Ingested", "Match", "ingest", "is_terminal", "match", "new_manifest"]

OLD_FILE_S = 600.0
"""Age from which that of a queue's file is named [s]."""

OPEN = "select 1 from experiment_summary where open_count > 0"

QUIET_DAY = timedelta(hours=24)
"""Time without a change after which an experiment with missing conditions is closed; ``adopt`` reopens it.

While conditions are queued, and for this long after that, a launch must find the experiment open: a new one
would run everything again.
"""


TEARDOWN = timedelta(minutes=15)
"""Time after which the machine of an ended job is not waited for any longer."""


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """The result of storing one poll for one experiment.

    Attributes
    ----------
    own_count
        Number of records of the experiment.
    changed_count
        Number of rows written.
    attached
        Newly attached jobs by condition.
    duplicates
        Jobs by condition that already has another one.
    ambiguous
        Users whose jobs match; nothing was attached by name.
    bad
        One sentence per invalid record in the answer.
    error
        Why the queue could not be read; also in the heartbeat.
    is_closed
        Whether the experiment was closed, because all its jobs have ended.
    file_age_s
        Age of the file that the queue was read from [s]; None = it was not read from a file.
    ended_at
        When it had been closed before: it was checked again [UTC]; None = it was open.
    reopened
        Its open jobs, if it had ended: it is open again.
    """

    experiment_id: str
    own_count: int = 0
    changed_count: int = 0
    attached: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    error: QueueError | None = None
    is_closed: bool = False
    file_age_s: float | None = None
    ended_at: datetime | None = None
    reopened: list[int] = field(default_factory=list)

    @property
    def is_unchanged(self) -> bool:
        """Whether the experiment had ended, and nothing has changed since."""
        return self.ended_at is not None and not self.changed_count and not self.reopened

    def sentence(self) -> str:
        """Return a summary for stderr."""
        if self.error is not None:
            return f"heartbeat written, the queue did not answer: {self.error}"
        if self.is_unchanged:
            return f"ended, closed at {clock(self.ended_at)}; the queue shows no change"
        sentences = [f"{self.own_count} job tasks seen, {self.changed_count} changed"]
        if self.attached:
            sentences.append(
                f"attached {listed(f'{name} -> job {job}' for name, job in self.attached.items())}"
            )
        if self.duplicates:
            each = (
                f"{name} also has job {', '.join(map(str, ids))}" for name, ids in self.duplicates.items()
            )
            sentences.append(f"duplicates: {listed(each)}")
        if self.ambiguous:
            sentences.append(f"jobs of several users match ({listed(self.ambiguous)}), none attached")
        if self.file_age_s is not None and self.file_age_s > OLD_FILE_S:
            sentences.append(f"the file is {duration(self.file_age_s)} old")
        if self.reopened:
            jobs = listed(f"job {job_id}" for job_id in self.reopened)
            sentences.append(
                f"had ended, but {jobs} {'is' if len(self.reopened) == 1 else 'are'} open: reopened"
            )
        if self.is_closed:
            sentences.append("all ended, closed" if self.ended_at is None else "all ended")
        return "; ".join(sentences)


def ingest(
    store: Store, answer: Answer | QueueError, *, source: str, now: datetime, is_replay: bool = False
) -> Ingested:
    """Store one poll of the queue for one experiment.

    Parameters
    ----------
    store
        The experiment.
    answer
        The answer of the queue, or why there is none.
    source
        Where it was read from.
    now
        The current time [UTC], for a failed poll; an answer has its own time.
    is_replay
        The poll is one of a recording, whose experiment is closed from the start.

    Raises
    ------
    ManifestError, StoreError
        The experiment's files can't be read or written; the store stays consistent.
    """
    if isinstance(answer, QueueError):
        return _store_failure(store, answer, source=source, now=now, is_replay=is_replay)
    stored = StoredExperiment(store)
    has_ended = store.is_closed and not is_replay
    known = _known_jobs(store, stored.manifest, answer) if has_ended else answer
    try:
        manifest, found = attach_jobs(stored, known, source=source)
    except OtherServerError as error:
        return _store_failure(store, error, source=source, now=now)
    return store_records(store, manifest, found, answer, source=source, now=now)


def _store_failure(
    store: Store, error: QueueError, *, source: str, now: datetime, is_replay: bool = False
) -> Ingested:
    """Store a poll that failed, which implies nothing about any job."""
    poll = Poll(polled_at=now, source=source, error_type=error.error_type, error=str(error))
    append(store, poll, None)
    if not is_replay:
        store.plan_check(now)
    return Ingested(experiment_id=store.experiment_id, error=error)


def _known_jobs(store: Store, manifest: Manifest, answer: Answer) -> Answer:
    """Leave out jobs that an ended experiment does not know: another one may use the same names."""
    stored = stored_jobs(store)
    assume_newest(answer.records, manifest)
    identify(answer.records, stored, manifest)
    known = {key for key, _ in jobs_of(manifest)} | {job.key for jobs in stored.values() for job in jobs}
    return replace(answer, records=[record for record in answer.records if record.job_key in known])


def attach_jobs(stored: StoredExperiment, answer: Answer, *, source: str) -> tuple[Manifest, Match]:
    """Attach jobs of the queue to their conditions in the manifest.

    Parameters
    ----------
    stored
        The experiment; the caller holds the lock of polls.
    answer
        The answer of the queue.
    source
        Where it was read from.

    Returns
    -------
    tuple
        The manifest as written, and the result of matching.

    Raises
    ------
    OtherServerError
        The jobs are on another API server than the one that answered.
    """
    with stored.manifest_file.changing() as manifest:
        refuse_other_server(stored.store, manifest, answer)
        found = _identified(stored.store, manifest, answer.records)
        is_noted = note_server(stored.store, manifest, answer, has_own=bool(found.attach))
        if found.attach:
            attach(manifest, found)
            mark_unchecked(stored.store)  # a job may have been seen before, as a duplicate
        if found.attach or is_noted:
            stored.manifest_file.write(manifest)
        if found.attach:
            jobs = {each.condition_id: job_id_of(each.job_key) for each in found.attach}
            stored.append(AttachEvent(at=answer.polled_at, jobs=jobs, source=source))
    return manifest, found


def store_records(
    store: Store, manifest: Manifest, found: Match, answer: Answer, *, source: str, now: datetime
) -> Ingested:
    """Price and append the experiment's records; close or reopen it if all jobs have ended or one has not.

    Parameters
    ----------
    store, manifest
        The experiment; its manifest is already written.
    found
        The result of matching.
    answer
        The answer of the queue.
    source
        Where it was read from.
    now
        The current time [UTC].
    """
    ended_at = store.closed_at if store.is_closed and not manifest.is_replay else None
    _price(found.own, manifest.prices)
    poll = Poll(
        polled_at=answer.polled_at, source=source, latency_s=answer.latency_s, job_count=len(answer.records)
    )
    appended = append(store, poll, found.own, failed=failed_statuses())
    open_ids = sorted({record.job_id for record in found.own if not is_terminal(record.status)})
    if ended_at is None:
        is_closed = _close_if_ended(store, manifest, found, answer.polled_at, now=now)
    elif open_ids or appended.changed_count:
        is_closed = _close_if_ended(store, manifest, found, answer.polled_at, now=now)
        if not is_closed:
            store.reopen()
    else:
        is_closed = True
        _keep_closed(store, now=now)
    return Ingested(
        experiment_id=store.experiment_id,
        own_count=len(found.own),
        changed_count=appended.changed_count,
        attached={each.condition_id: job_id_of(each.job_key) for each in found.attach},
        duplicates={name: [*map(job_id_of, keys)] for name, keys in found.duplicates.items()},
        ambiguous=found.ambiguous,
        bad=answer.bad,
        is_closed=is_closed,
        file_age_s=(now - answer.polled_at).total_seconds() if source.startswith("file:") else None,
        ended_at=ended_at,
        reopened=[] if is_closed or ended_at is None else open_ids,
    )


def _keep_closed(store: Store, *, now: datetime) -> None:
    """Plan the next check of an ended experiment that has not changed, and keep its log one file."""
    store.plan_check(now)
    if not store.is_to_poll(now):  # otherwise every poll checks it, and the first one after that merges
        compact_fully(store)


def ended_jobs(store: Store) -> dict[int, bool]:
    """Return the jobs in the store's state by key, and whether each had ended when it was last seen."""
    return {key: has_ended for key, (has_ended, _) in _state(store).items()}


def _identified(store: Store, manifest: Manifest, records: Sequence[Record]) -> Match:
    """Tell which jobs the records are of, and match them.

    The records of a poll without changes are those of the jobs of the last poll; the state is not read.
    """
    assume_newest(records, manifest)
    found = _match(store, manifest, records)
    if is_unchanged(store, found.own):
        return found
    if identify(records, stored_jobs(store), manifest):
        return _match(store, manifest, records)
    return found


def _match(store: Store, manifest: Manifest, records: Sequence[Record]) -> Match:
    """Match records to the experiment; read the store and other experiments only if there are new jobs."""
    found = match(manifest, records)
    if not found.decided_keys and not found.ended_late:
        return found
    stored = ended_jobs(store)
    owned: set[tuple[int, str]] = set()
    if not found.decided_keys <= stored.keys():
        try:
            owned = owned_elsewhere(store, manifest, records)
        except ManifestError:
            # The owner of new jobs is unknown until that manifest is fixed: attach none.
            owned = {(record.job_id, record.job_name) for record in records if record.job_name}
    return match(manifest, records, owned_elsewhere=owned, stored=stored)


def _price(records: Iterable[Record], prices: Mapping[str, Price]) -> None:
    """Set the price of each record."""
    if not prices:
        return
    from fmon.sky.prices import price_of  # loads subprocess, which many polls do not need

    known: dict[str | None, tuple[float | None, str | None]] = {}
    for record in records:
        machine = record.machine or record.resources
        if machine not in known:
            known[machine] = price_of(record, prices)
        record.price_usd_per_h, record.price_source = known[machine]


def _state(store: Store) -> dict[int, tuple[bool, int]]:
    """Return whether each stored job has ended and when it last changed [us since the epoch]."""
    jobs: dict[int, tuple[bool, int]] = {}
    for key, status, changed_at in zip(*read_columns(store, ["job_key", "status", "polled_at"]), strict=True):
        has_ended, last = jobs.get(key, (True, 0))
        jobs[key] = has_ended and is_terminal(status), max(last, changed_at)
    return jobs


def _close_if_ended(
    store: Store, manifest: Manifest, found: Match, polled_at: datetime, *, now: datetime
) -> bool:
    """Close the experiment if view ``condition`` has no open condition, with its results in the manifest.

    The view needs DuckDB, so cheaper checks come first.
    """
    if manifest.is_replay or any(
        not is_terminal(record.status) or _costs_still(record, now) for record in found.own
    ):
        return False
    jobs = _state(store)
    needed = {entry.job_key for entry in manifest.jobs if entry.job_key is not None}
    lasting = {key for key, (has_ended, _) in jobs.items() if not has_ended}
    if not needed <= jobs.keys() or not lasting <= _closed_as_lost(store, lasting):
        return False
    if found.missing:
        changes = [EPOCH + timedelta(microseconds=changed_at) for _, changed_at in jobs.values()]
        last = max([*changes, manifest.submit_until or manifest.created_at])
        if polled_at - last < QUIET_DAY:
            return False
    from fmon.monitor.refresh import QUERIES, copy_live
    from fmon.warehouse import column, open_views

    stored = StoredExperiment(store)
    con = open_views(stored, now=polled_at, queries=(OPEN, *QUERIES))
    if column(con, OPEN):
        return False
    copy_live(stored, con)  # first, so that a closed experiment has its results even after a crash
    close(store, now=now)
    return True


def _costs_still(record: Record, now: datetime) -> bool:
    """Return whether the machine of a job that has just ended is still there: its end is part of the cost."""
    if not record.has_machine or record.end_at is None:
        return False
    return now - (EPOCH + timedelta(microseconds=record.end_at)) < TEARDOWN


def _closed_as_lost(store: Store, lasting: set[int]) -> set[int]:
    """Return the lost jobs that a person has closed."""
    if not lasting:
        return set()
    return {event.job_id for event in read_events(store) if isinstance(event, LostJobClosedEvent)}
