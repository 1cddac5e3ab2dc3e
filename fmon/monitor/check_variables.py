"""Compare the variables that jobs run with to those of their conditions, once per job.

Reads the manifest and the state, and asks SkyPilot what it recorded when the jobs were submitted. Values are
compared in memory, since they may be secrets: only the names of variables that differ are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import FmonError, QueueError
from fmon.job_key import job_id_of
from fmon.manifest.api_server import is_elsewhere
from fmon.manifest.file import read_manifest
from fmon.manifest.identity import WAITING
from fmon.model import envs_of
from fmon.sky.reader import SPEC_BATCH
from fmon.sky.user_yaml import differing
from fmon.store.log import newest_poll_id
from fmon.store.state import read_columns
from fmon.store.variable_checks import (
    VariableCheck,
    clear_unchecked,
    read_checks,
    unchecked_token,
    write_checks,
)
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fmon.model import Entry, Manifest
    from fmon.sky.reader import JobSpec, SpecReader
    from fmon.store.folder import Store


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The jobs of one experiment whose variables differ from those of their conditions.

    Attributes
    ----------
    wrong
        Names of the variables, by job.
    """

    experiment_id: str
    wrong: dict[int, list[str]]

    def sentence(self) -> str | None:
        """Return a summary for stderr; None if there is nothing to report."""
        if not self.wrong:
            return None
        jobs = (f"job {job_id} ({', '.join(names)})" for job_id, names in self.wrong.items())
        return f"variables differ from those of the condition: {listed(jobs)}"


@dataclass(frozen=True, kw_only=True)
class VariableChecks:
    """The result of comparing.

    Attributes
    ----------
    checked
        One item per experiment.
    error
        Why SkyPilot could not be asked; the next poll tries again.
    faults
        Errors of single experiments, by experiment_id.
    """

    checked: list[Checked] = field(default_factory=list)
    error: QueueError | None = None
    faults: dict[str, FmonError] = field(default_factory=dict)


def check_variables(
    stores: Sequence[Store], reader: SpecReader, *, is_replay: bool = False
) -> VariableChecks:
    """Compare the jobs that are due, at most ``SPEC_BATCH`` of all experiments together; changes no job.

    Parameters
    ----------
    stores
        The experiments; no other process may compare their jobs meanwhile.
    reader
        Reads what SkyPilot recorded.
    is_replay
        Whether ``reader`` is the recording of the experiments; without it, replays are left out: the live
        queue has other jobs with the same ids, as has another API server.
    """
    result = VariableChecks()
    turns: list[_Turn] = []
    for store in stores:
        try:
            turn = _begun(store)
        except FmonError as fault:
            result.faults[store.experiment_id] = fault
            continue
        if turn.manifest.is_replay == is_replay and not is_elsewhere(turn.manifest, reader.name):
            turns.append(turn)
    job_ids = {job_id_of(job.job_key) for job in [job for turn in turns for job in turn.due][:SPEC_BATCH]}
    try:
        specs = reader.read_specs(job_ids) if job_ids else {}
    except QueueError as error:
        return VariableChecks(error=error, faults=result.faults)
    for turn in turns:
        try:
            result.checked.append(_finished(turn, job_ids, specs))
        except FmonError as fault:
            result.faults[turn.store.experiment_id] = fault
    return result


class _Job(NamedTuple):
    """A job to compare, as in the state."""

    job_key: int
    entry: Entry
    status: str
    submitted_at: int | None


class _Turn(NamedTuple):
    """The jobs of one experiment to compare, and what was stored before."""

    store: Store
    manifest: Manifest
    token: str | None
    before: dict[int, VariableCheck]
    due: list[_Job]


def _begun(store: Store) -> _Turn:
    """Find the newest attempts that the queue lists and that were not compared yet."""
    token = unchecked_token(store)  # before the state: a later marker has another token
    manifest, before = read_manifest(store), read_checks(store)
    due = [job for job in _listed_jobs(store, manifest) if job.job_key not in before]
    # Jobs that SkyPilot has certainly recorded come first: waiting jobs must not fill every batch.
    due.sort(key=lambda job: (job.status in WAITING, job.job_key))
    return _Turn(store, manifest, token, before, due)


def _listed_jobs(store: Store, manifest: Manifest) -> Iterator[_Job]:
    """Yield the newest attempt of each condition, if the last poll saw it."""
    entries = {entry.job_key: entry for entry in manifest.jobs if entry.job_key is not None}
    names = ["job_key", "task_id", "is_seen", "status", "submitted_at"]
    for key, task_id, is_seen, status, submitted_at in zip(*read_columns(store, names), strict=True):
        if task_id == 0 and is_seen and key in entries:
            yield _Job(key, entries[key], status, submitted_at)


def _finished(turn: _Turn, asked: set[int], specs: Mapping[int, JobSpec]) -> Checked:
    """Compare and store; delete the marker if nothing is left to compare."""
    is_final = turn.store.is_closed or turn.manifest.is_replay
    poll_id = newest_poll_id(turn.store)
    found: dict[int, VariableCheck] = {}
    for job in turn.due:
        job_id = job_id_of(job.job_key)
        spec = specs.get(job_id)
        is_answered = spec is not None and (spec.user_yaml is not None or job.status not in WAITING)
        if job_id in asked and (is_answered or is_final):
            wrong_names = None
            if spec is not None:
                expected = envs_of(turn.manifest, job.entry)
                wrong_names = differing(expected, spec.user_yaml, spec.entrypoint)
            found[job.job_key] = VariableCheck(job.job_key, job_id, wrong_names, poll_id, job.submitted_at)
    if found:
        write_checks(turn.store, (turn.before | found).values())
    if len(found) == len(turn.due):
        clear_unchecked(turn.store, turn.token)
    wrong = {check.job_id: check.wrong_names for check in found.values() if check.wrong_names}
    return Checked(experiment_id=turn.store.experiment_id, wrong=wrong)
