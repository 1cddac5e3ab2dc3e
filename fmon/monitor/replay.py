"""Replay a recording with the code of a live poll and the recorded times.

Reads RECORDING/experiment.yaml, queue.jsonl and logs/; uses no network and no catalog.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.config import load_experiment
from fmon.errors import ConfigError, QueueError
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import MAX_CONDITIONS
from fmon.monitor.check_variables import check_variables
from fmon.monitor.classify import examine
from fmon.monitor.ingest import ingest, new_manifest
from fmon.monitor.refresh import refresh
from fmon.sky.logs import RecordedLogs
from fmon.sky.reader import Answer
from fmon.sky.record import parse_records, specs_of
from fmon.store.compaction import close_for_good
from fmon.store.durable import lock
from fmon.store.folder import Store
from fmon.store.log import polls_of
from fmon.store.unexamined import is_due

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from fmon.sky.reader import JobSpec

SOURCE = "recording"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The result of a replay: how many recorded polls there are, and how many were new to the store."""

    experiment_id: str
    poll_count: int
    new_count: int
    bad: list[str]

    def sentences(self) -> list[str]:
        """Return a summary for stderr."""
        sentences = [f"{self.experiment_id}: {self.poll_count} recorded polls, {self.new_count} of them new"]
        if self.bad:
            sentences.append(f"{len(self.bad)} invalid record(s) left out: {'; '.join(self.bad[:5])}")
        return sentences


def replay(recording: Path, data: Path, *, max_conditions: int = MAX_CONDITIONS) -> Replayed:
    """Create the experiment of a recording and run every recorded poll.

    Parameters
    ----------
    recording
        Folder with experiment.yaml and queue.jsonl.
    data
        Data directory; replaying again into it adds nothing.
    max_conditions
        Maximum number of conditions in the config.

    Raises
    ------
    ConfigError
        The folder is not a recording, or a line is invalid; the message says which one and why.
    """
    if not recording.is_dir():
        message = f"{recording} is not a folder; a recording is a folder with experiment.yaml and queue.jsonl"
        raise ConfigError(message)
    experiment = load_experiment(
        recording / "experiment.yaml", max_conditions=max_conditions, needs_task=False
    )
    polls = list(recorded_polls(recording / "queue.jsonl"))
    if not polls:
        message = f"{recording / 'queue.jsonl'} contains no poll; record one with fmon record"
        raise ConfigError(message)
    created_at = polls[0][0]
    store = Store(data / f"{experiment.experiment_name}-{created_at:%Y%m%dT%H%M%SZ}")
    store.path.mkdir(parents=True, exist_ok=True)
    new_count, bad = 0, []
    logs = RecordedLogs(recording / "logs")
    with lock(store.path / ".replay.lock", wait_s=600):
        close_for_good(store)  # first, so that no live poll adds to a replay that runs or was killed
        if not store.manifest.exists():
            manifest = new_manifest(
                experiment,
                store.experiment_id,
                created_at=created_at,
                is_replay=True,
                prices=experiment.prices,
            )
            write_manifest(store, manifest)
        known = polls_of(store)
        for polled_at, answer, specs in polls:
            if (SOURCE, polled_at) in known:
                continue
            bad += ingest(store, answer, source=SOURCE, now=polled_at, is_replay=True).bad
            new_count += 1
            if store.has_unchecked:
                _check_variables(store, specs)
            if is_due(store, polled_at):
                _examine(store, logs, now=polled_at)
        if is_due(store, polls[-1][0]):  # an earlier replay was killed after its last poll
            _examine(store, logs, now=polls[-1][0])
        refresh(store, now=polls[-1][0])
        close_for_good(store)  # again: the log is one file
    return Replayed(experiment_id=store.experiment_id, poll_count=len(polls), new_count=new_count, bad=bad)


def _examine(store: Store, logs: RecordedLogs, *, now: datetime) -> None:
    """Examine all failures so far."""
    examine(store, read_manifest(store), logs, now=now, wait_s=600)


def _check_variables(store: Store, specs: _RecordedSpecs) -> None:
    """Compare the variables of new jobs, if the recording has them."""
    found = check_variables([store], specs, is_replay=True)
    for fault in found.faults.values():
        raise fault


class _RecordedSpecs:
    """What a recorded poll has about the submission of jobs; ``fmon record`` leaves it out."""

    name = SOURCE

    def __init__(self, jobs: Iterable[Any] = ()) -> None:
        self._specs = specs_of(jobs)

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Return the specs of some jobs; see ``SpecReader.read_specs``."""
        return {job_id: spec for job_id, spec in self._specs.items() if job_id in job_ids}


class RecordedPoll(NamedTuple):
    """One line of a recording."""

    polled_at: datetime
    answer: Answer | QueueError
    specs: _RecordedSpecs


def recorded_polls(path: Path) -> Iterator[RecordedPoll]:
    """Yield the polls of a recording in the order of the file.

    Parameters
    ----------
    path
        Its ``queue.jsonl``; a last line that its writer did not finish is left out.

    Raises
    ------
    ConfigError
        It can't be read, or a line is not a poll.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as fault:
        message = (
            f"{path} can't be read ({fault}); a recording is a folder with experiment.yaml and queue.jsonl"
        )
        raise ConfigError(message) from fault
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _poll(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            if number == len(lines):
                return  # without a newline: the recorder was killed while it wrote this line
            message = (
                f"{path}, line {number} is not a recorded poll ({type(fault).__name__}: {fault}); write "
                '{"polled_at": "<ISO 8601 UTC>", "jobs": [...]} or {"polled_at": ..., "error": "..."}'
            )
            raise ConfigError(message) from fault


def _poll(line: dict[str, Any]) -> RecordedPoll:
    """Convert one line to the answer of a live queue."""
    polled_at = datetime.fromisoformat(line["polled_at"])
    polled_at = polled_at.replace(tzinfo=UTC) if polled_at.tzinfo is None else polled_at.astimezone(UTC)
    if "error" in line:
        error_type, _, _ = str(line["error"]).partition(":")
        error = QueueError(str(line["error"]), error_type=error_type)
        return RecordedPoll(polled_at, error, _RecordedSpecs())
    jobs = line["jobs"]
    if not isinstance(jobs, list):
        raise TypeError(f"jobs is {type(jobs).__name__}, not a list")
    records, bad = parse_records(jobs)
    answer = Answer(polled_at=polled_at, records=records, bad=bad, latency_s=0.0)
    return RecordedPoll(polled_at, answer, _RecordedSpecs(jobs))
