"""Show the log of a job: the stored one, otherwise the live one.

Reads the manifest, the stored logs and, where there is none, SkyPilot; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmon.errors import ConfigError, QueueError
from fmon.manifest.file import read_manifest
from fmon.manifest.stored import StoredExperiment
from fmon.sky.clean_log import cleaned, is_silent, no_log
from fmon.sky.logs import read_log
from fmon.sky.reader import LogAsk, LogMissingError
from fmon.store.folder import Store, find
from fmon.store.job_logs import load_log
from fmon.text import listed, nearest
from fmon.warehouse.selection import select_current

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from fmon.model import Entry, Manifest
    from fmon.sky.reader import LogReader


@dataclass(frozen=True, kw_only=True)
class JobLog:
    """A log, cleaned of SkyPilot's prefixes, ANSI codes and secrets.

    Attributes
    ----------
    ask
        Whose it is, the job's own or its controller's.
    condition_id
        The condition the job is of.
    is_stored
        It is of the store, not asked for just now.
    others
        Further jobs of the condition.
    """

    text: str
    ask: LogAsk
    condition_id: str
    is_stored: bool
    others: list[int]

    def sentence(self) -> str:
        """Say what is shown, for stderr."""
        whose = "controller's log" if self.ask.is_controller else "log"
        since = "stored" if self.is_stored else "live"
        said = f"{whose} of job {self.ask.job_id} ({self.condition_id}), {since}"
        if self.others:
            said += f"; the condition has also job {listed(map(str, self.others))}"
        return said


def logs(
    data: Path, experiment: str | None, wanted: str, reader: LogReader, *, controller: bool = False
) -> JobLog:
    """Find the log of a condition's newest job, or of one job.

    Parameters
    ----------
    data, experiment
        Data directory; the experiment's id or a unique prefix.
    wanted
        A condition or a job id of the experiment.
    reader
        Where a log that is not stored is read from.
    controller
        The controller's log; else the job's own, or where only the controller's says something and is
        stored, that one.

    Raises
    ------
    ConfigError
        The experiment has no such condition or job.
    QueueError
        The log is not stored and can't be had.
    """
    store = find(data, experiment)
    manifest = read_manifest(store)
    entry, job_id = _choose(manifest, wanted)
    others = sorted(_jobs(entry) - {job_id})
    own, controllers = LogAsk(job_id), LogAsk(job_id, is_controller=True)
    found = _stored(store, [controllers] if controller else [own, controllers])
    ask, text = found or (controllers if controller else own, None)
    if text is None:
        text = _live(manifest, reader, ask)
    return JobLog(
        text=text, ask=ask, condition_id=entry.condition, is_stored=found is not None, others=others
    )


def chosen_jobs(data: Path, experiment: str | None, words: Sequence[str], *, now: datetime) -> list[str]:
    """Resolve what is to be shown: conditions and jobs by name, and the conditions with a job of a selection.

    Parameters
    ----------
    data, experiment
        data directory; the experiment's id or unique prefix
    words
        job ids, and words of a selection
    now
        the clock [UTC]

    Returns
    -------
    list of str
        Conditions and job ids, for ``logs``; each once.

    Raises
    ------
    ConfigError
        A word names nothing that the experiment has, or no condition that is selected has a job.
    """
    stored = StoredExperiment(find(data, experiment))
    manifest = stored.manifest
    by_name = {entry.condition: entry for entry in manifest.jobs}
    jobs = {str(job_id) for entry in manifest.jobs for job_id in _jobs(entry)} - by_name.keys()
    selections = [word for word in words if word not in jobs]
    selected = select_current(stored, selections, now=now) if selections else {}
    chosen = [name for name, word in selected.items() if name == word or by_name[name].job_id is not None]
    if not chosen and selections:
        raise ConfigError(f"no condition of {manifest.experiment_id} with {' '.join(selections)} has a job")
    return list(dict.fromkeys([word for word in words if word in jobs] + chosen))


def _choose(manifest: Manifest, wanted: str) -> tuple[Entry, int]:
    """Find the condition and the job that are meant; a condition's name goes before a job's number."""
    by_name = {entry.condition: entry for entry in manifest.jobs}
    entry = by_name.get(wanted)
    if entry is not None:
        if entry.job_id is None:
            message = f"{wanted} of {manifest.experiment_id} has no job yet, so it has no log"
            raise ConfigError(message)
        return entry, entry.job_id
    by_job = {str(job_id): entry for entry in manifest.jobs for job_id in _jobs(entry)}
    if wanted in by_job:
        return by_job[wanted], int(wanted)
    near = nearest(wanted, by_name)
    message = f"{manifest.experiment_id} has no condition or job {wanted!r}; {near}"
    raise ConfigError(message)


def _jobs(entry: Entry) -> set[int]:
    """List the jobs of a condition, earlier attempts included."""
    newest = set() if entry.job_id is None else {entry.job_id}
    return newest | {attempt.job_id for attempt in entry.attempts}


def _stored(store: Store, asks: list[LogAsk]) -> tuple[LogAsk, str] | None:
    """Give the first stored log that says something, else the first one that is stored."""
    texts = [(ask, text) for ask in asks if (text := load_log(store, ask.file_name)) is not None]
    return next((item for item in texts if not is_silent(item[1])), texts[0] if texts else None)


def _live(manifest: Manifest, reader: LogReader, ask: LogAsk) -> str:
    """Ask for a log that is not stored."""
    if manifest.is_replay:
        message = f"job {ask.job_id} is of a recording, which has no {ask.file_name} of a failed job"
        raise LogMissingError(message)
    try:
        text = cleaned(read_log(reader, ask))
    except QueueError as error:
        raise QueueError(f"no log of job {ask.job_id}: {error}", error_type=error.error_type) from error
    if reason := no_log(text):
        raise LogMissingError(f"no log of job {ask.job_id}: {reason}")
    return text
