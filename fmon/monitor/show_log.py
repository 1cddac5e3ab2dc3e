"""Show the log of a job: the stored one or, if there is none of its last run, the live one.

Reads the manifest, the stored logs and, if needed, SkyPilot; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fmon.errors import ConfigError, QueueError
from fmon.job_key import job_id_of
from fmon.manifest.api_server import OTHER_SERVER, elsewhere_sentence, is_elsewhere
from fmon.manifest.file import read_manifest
from fmon.manifest.identity import stored_jobs
from fmon.manifest.stored import StoredExperiment
from fmon.model import EPOCH
from fmon.monitor.live_log import Extent, LiveLog, last_lines
from fmon.monitor.task_log import Task, failed_task, has_failed, part_to_show
from fmon.sky.clean_log import cleaned
from fmon.sky.logs import read_log
from fmon.sky.reader import LogMissingError, LogRequest
from fmon.store.findings import exit_code_of
from fmon.store.folder import Store, find
from fmon.store.job_logs import load_log
from fmon.text import listed, nearest, timestamp
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import datetime
    from pathlib import Path

    from fmon.manifest.identity import StoredJob
    from fmon.model import Entry, Manifest
    from fmon.sky.reader import LiveLogReader, LogReader


@dataclass(frozen=True, kw_only=True)
class JobLog:
    """A log, cleaned of SkyPilot's prefixes, ANSI codes and secrets.

    Attributes
    ----------
    request
        Which log it is: that of the job or that of its controller.
    condition_id
        The condition of the job.
    task
        The task whose part of the log it is; None = the entire log.
    text
        The text, if it is stored.
    live
        The log as it arrives, if it is not.
    others
        Other jobs of the condition.
    exit_code
        Exit code of the program, as SkyPilot states it; None = it is not known.
    """

    request: LogRequest
    condition_id: str
    task: Task | None
    text: str | None
    live: LiveLog | None
    others: list[int]
    exit_code: int | None = None

    @property
    def is_stored(self) -> bool:
        """Whether it is from the store, not from SkyPilot."""
        return self.text is not None

    def pieces(self) -> Generator[str]:
        """Yield the text; a live one as it arrives, see ``LiveLog``."""
        if self.text is not None:
            yield self.text
        if self.live is not None:
            yield from self.live

    @property
    def ending(self) -> str:
        """A sentence about the end of the log, once it was shown; empty if there is none."""
        return self.live.ending if self.live else ""

    def sentence(self) -> str:
        """Return a description for stderr."""
        kind = "controller's log" if self.request.is_controller else "log"
        source = "stored" if self.is_stored else "live"
        owner = f"{self.task} of job" if self.task else "job"
        sentence = f"{kind} of {owner} {self.request.job_id} ({self.condition_id}), {source}"
        if self.exit_code is not None:
            sentence += f"; exit code {self.exit_code}"
        if self.others:
            sentence += f"; other jobs of the condition: {listed(map(str, self.others))}"
        return sentence


def logs(
    data: Path,
    experiment: str | None,
    target: str,
    reader: LiveLogReader,
    *,
    controller: bool = False,
    extent: Extent = Extent(),  # noqa: B008 - it is frozen
) -> JobLog:
    """Return the log of a condition's newest job, or of one job; of several tasks that of the failed one.

    Parameters
    ----------
    data, experiment
        Data directory; the experiment's id or a unique prefix.
    target
        A condition or a job id of the experiment; ``JOB@SUBMITTED`` if SkyPilot reused the id.
    reader
        The reader for a log that is not stored.
    controller
        Whether to return the controller's log. If not, it is still returned if the job's own log has no
        output and the controller's log is stored.
    extent
        How much of it to show.

    Raises
    ------
    ConfigError
        The experiment has no such condition or job, or several jobs had the id.
    QueueError
        The log is not stored and not available; a live one is only read when it is shown.
    """
    store = find(data, experiment)
    manifest = read_manifest(store)
    entry, key = _choose(store, manifest, target)
    others = sorted(map(job_id_of, {*entry.job_keys} - {key}))
    own, controllers = LogRequest.of(key), LogRequest.of(key, is_controller=True)
    task = failed_task(store, key)
    # What is stored of a job that has run again since is about an earlier end. A recording has only one log.
    is_current = manifest.is_replay or has_failed(store, key)
    found = _stored(store, [controllers] if controller else [own, controllers], task) if is_current else None
    request, text = found or (controllers if controller else own, None)
    if text is None:
        _refuse_unavailable(store, manifest, request, source=reader.name)
    live = None if text is not None else LiveLog(reader, request, extent)
    if live and task:
        text, live = _part(reader, request, task), None
    return JobLog(
        request=request,
        condition_id=entry.condition,
        task=task,
        text=None if text is None else last_lines(text, extent.tail),
        live=live,
        others=others,
        exit_code=exit_code_of(store, key) if is_current else None,
    )


def chosen_jobs(data: Path, experiment: str | None, words: Sequence[str], *, now: datetime) -> list[str]:
    """Resolve words to conditions and jobs: job ids, and the conditions of a selection that have a job.

    Parameters
    ----------
    data, experiment
        Data directory; the experiment's id or a unique prefix.
    words
        Job ids, and words of a selection.
    now
        The current time [UTC].

    Returns
    -------
    list of str
        Conditions and job ids for ``logs``, without duplicates.

    Raises
    ------
    ConfigError
        A word matches nothing in the experiment, or no selected condition has a job.
    """
    stored = StoredExperiment(find(data, experiment))
    manifest = stored.manifest
    by_name = {entry.condition: entry for entry in manifest.jobs}
    ids = {str(job_id_of(key)) for entry in manifest.jobs for key in entry.job_keys}
    jobs = {word for word in words if word.partition("@")[0] in ids} - by_name.keys()
    selections = [word for word in words if word not in jobs]
    selected = select_current(stored, selections, now=now) if selections else {}
    chosen = [name for name, word in selected.items() if name == word or by_name[name].job_key is not None]
    if not chosen and selections:
        raise ConfigError(f"no condition of {manifest.experiment_id} with {' '.join(selections)} has a job")
    return list(dict.fromkeys([word for word in words if word in jobs] + chosen))


def _choose(store: Store, manifest: Manifest, target: str) -> tuple[Entry, int]:
    """Return the condition and the job of a target; a condition id takes precedence over a job id."""
    by_name = {entry.condition: entry for entry in manifest.jobs}
    entry = by_name.get(target)
    if entry is not None:
        if entry.job_key is None:
            message = f"{target} of {manifest.experiment_id} has no job yet, so there is no log"
            raise ConfigError(message)
        return entry, entry.job_key
    job, _, submitted = target.partition("@")
    jobs = _jobs_with_id(store, manifest, job)
    chosen = [(entry, key) for key, (entry, since) in jobs.items() if since.startswith(submitted)]
    if len(chosen) == 1:
        return chosen[0]
    if jobs:
        names = listed(f"{job}@{since} ({entry.condition})" for _, (entry, since) in sorted(jobs.items()))
        message = (
            f"{target} is not one job of {manifest.experiment_id}: SkyPilot reused the id; "
            f"name one of {names}"
        )
        raise ConfigError(message)
    near = nearest(target, by_name)
    message = f"{manifest.experiment_id} has no condition or job {target!r}; {near}"
    raise ConfigError(message)


def _jobs_with_id(store: Store, manifest: Manifest, job: str) -> dict[int, tuple[Entry, str]]:
    """Return the jobs of the manifest that had an id, and those of the same names that polls have seen.

    Each has its condition and when it was submitted; "unknown" if no poll has shown it.
    """
    by_key = {key: entry for entry in manifest.jobs for key in entry.job_keys if str(job_id_of(key)) == job}
    if not by_key:
        return {}
    seen = {each.key: each for each in stored_jobs(store).get(int(job), ())}
    by_name = {entry.job_name: entry for entry in manifest.jobs}
    by_key |= {
        key: by_name[each.name] for key, each in seen.items() if key not in by_key and each.name in by_name
    }
    return {key: (entry, _submission(seen.get(key))) for key, entry in by_key.items()}


def _submission(job: StoredJob | None) -> str:
    micros = job and job.submitted_at
    return "unknown" if micros is None else timestamp(EPOCH + timedelta(microseconds=micros))


def _stored(store: Store, requests: list[LogRequest], task: Task | None) -> tuple[LogRequest, str] | None:
    """Return the first stored log with output of the task, else the first stored one."""
    parts = [
        (request, part_to_show(text, request, task))
        for request in requests
        if (text := load_log(store, request.file_name)) is not None
    ]
    usable = [item for item in parts if item[1].no_log_reason is None] or parts
    found = next((item for item in usable if not item[1].is_silent), usable[0] if usable else None)
    return (found[0], found[1].shown) if found and found[1].shown else None


def _refuse_unavailable(store: Store, manifest: Manifest, request: LogRequest, *, source: str) -> None:
    """Raise an error if SkyPilot no longer has the log: it only knows the newest job with the id."""
    if is_elsewhere(manifest, source):
        message = f"no log of job {request.job_id}: it is not stored, and {elsewhere_sentence(manifest)}"
        raise QueueError(message, error_type=OTHER_SERVER)
    if manifest.is_replay:
        message = f"job {request.job_id} is from a recording, and {request.file_name} is not stored"
        raise LogMissingError(message)
    later = [job for job in stored_jobs(store).get(request.job_id, ()) if job.key > request.job_key]
    if later:
        message = f"no log of job {request.job_id}: it is not stored, and SkyPilot has reused its id"
        raise LogMissingError(message)


def _part(reader: LogReader, request: LogRequest, task: Task) -> str:
    """Read the part of a log that belongs to a failed task: only the entire log shows what that is."""
    try:
        text = cleaned(read_log(reader, request))
    except QueueError as error:
        raise QueueError(f"no log of job {request.job_id}: {error}", error_type=error.error_type) from error
    part = part_to_show(text, request, task)
    if part.no_log_reason:
        raise LogMissingError(f"no log of job {request.job_id}: {part.no_log_reason}")
    return part.shown
