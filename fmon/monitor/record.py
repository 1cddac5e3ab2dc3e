"""Record a live queue into a folder that ``fmon replay`` reads.

Writes OUT/experiment.yaml, the task YAML, queue.jsonl and logs/. A recording is meant to be shared: it
has only jobs of the experiment and allow-listed fields, and secrets are redacted.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from fmon.config import load_experiment
from fmon.errors import ConfigError, QueueError
from fmon.manifest.identity import identify, remember
from fmon.manifest.match import attach
from fmon.model import MAX_CONDITIONS
from fmon.monitor.ingest import is_terminal, match, new_manifest
from fmon.monitor.replay import recorded_polls
from fmon.redact import redact
from fmon.sky.reader import LogRequest
from fmon.sky.record import queue_record
from fmon.store.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from fmon.clock import Clock
    from fmon.manifest.identity import StoredJob
    from fmon.model import Manifest, Record
    from fmon.sky.reader import LogReader, QueueReader

TORN = b"\n"
EACH_S = 20.0
"""Longest time for one log [s]."""


def record(
    config: Path,
    queue: QueueReader,
    out: Path,
    *,
    interval_s: float,
    clock: Clock,
    logs: LogReader,
    max_conditions: int = MAX_CONDITIONS,
) -> Iterator[str]:
    """Append one line per poll until every job of the experiment has ended, then fetch the logs.

    Parameters
    ----------
    config
        The experiment's config.
    queue
        The live queue.
    out
        The folder of the recording; a recording of the same config is resumed.
    interval_s
        Time between the starts of two polls [s].
    clock
        The clock to use.
    logs
        The reader of logs.
    max_conditions
        Maximum number of conditions of the config.

    Yields
    ------
    str
        One sentence per poll.
    """
    experiment = load_experiment(config, max_conditions=max_conditions)
    manifest = new_manifest(
        experiment, experiment.experiment_name, created_at=clock.now(), is_replay=True, prices={}
    )
    _copy_inputs(config, config.parent / experiment.skypilot_yaml, out)
    jobs = _Jobs(manifest)
    for poll in recorded_polls(out / "queue.jsonl") if (out / "queue.jsonl").exists() else ():
        if not isinstance(poll.answer, QueueError):
            jobs.select(poll.answer.records)
    while True:
        started = clock.now()
        own, line = _read_queue(queue, jobs, now=started)
        _append_line(out / "queue.jsonl", line)
        open_count = sum(not is_terminal(seen.status) for seen in own)
        yield line.get("error") or f"{len(own)} jobs of the experiment, {open_count} open"
        if own and open_count == 0:
            break
        clock.sleep(max(0.0, interval_s - (clock.now() - started).total_seconds()))
    yield from _save_logs(sorted({seen.job_key for seen in own} & jobs.keys), logs, out / "logs")


class _Jobs:
    """The experiment's jobs so far, as a replay will see them: logs are named by the keys of their jobs."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._stored: dict[int, list[StoredJob]] = {}

    @property
    def keys(self) -> set[int]:
        """Keys of the jobs."""
        return {job.key for jobs in self._stored.values() for job in jobs}

    def select(self, records: list[Record]) -> list[Record]:
        """Return the experiment's records, with the keys of their jobs."""
        identify(records, self._stored, self._manifest)
        ended = {job.key: job.has_ended for jobs in self._stored.values() for job in jobs}
        found = match(self._manifest, records, stored=ended)
        attach(self._manifest, found)
        remember(self._stored, found.own)
        mine = {record.job_key for record in found.own} | {*found.ended_late}
        return [record for record in records if record.job_key in mine]


def _read_queue(queue: QueueReader, jobs: _Jobs, *, now: datetime) -> tuple[list[Record], dict[str, Any]]:
    """Read the queue once; return this experiment's records and the line to append."""
    try:
        answer = queue.read()
    except QueueError as error:
        return [], {"polled_at": _stamp(now), "error": redact(f"{error.error_type}: {error}")}
    own = jobs.select(answer.records)
    return own, {"polled_at": _stamp(answer.polled_at), "jobs": [queue_record(seen) for seen in own]}


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _copy_inputs(config: Path, task: Path, out: Path) -> None:
    """Copy the config and the task YAML into the recording; refuse the folder of another config."""
    text = redact(config.read_text(encoding="utf-8"))
    kept = out / "experiment.yaml"
    if kept.exists() and kept.read_text(encoding="utf-8") != text:
        message = (
            f"{out} has a recording of another config ({kept} differs from {config}); "
            "choose another --out-dir"
        )
        raise ConfigError(message)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    write_durably(kept, text.encode())
    write_durably(out / task.name, redact(task.read_text(encoding="utf-8")).encode())


def _append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one line durably; first remove an incomplete line of a killed process."""
    with path.open("ab+") as file:
        _remove_incomplete_line(file.fileno())
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _remove_incomplete_line(handle: int) -> None:
    """Remove everything after the last newline."""
    size = os.fstat(handle).st_size
    end = size
    while end and os.pread(handle, 1, end - 1) != TORN:
        end -= 1
    if end != size:
        os.ftruncate(handle, end)


def _save_logs(keys: list[int], logs: LogReader, folder: Path) -> Iterator[str]:
    """Fetch the logs of jobs and of their controllers; report those that are not available."""
    requests = [LogRequest.of(key, is_controller=which) for key in keys for which in (False, True)]
    saved = 0
    for request, answer in logs.read(requests, timeout_s=EACH_S * len(requests)):
        if isinstance(answer, QueueError):
            yield f"no {request.file_name} ({answer})"
        else:
            write_durably(folder / request.file_name, redact(answer.decode("utf-8", "replace")).encode())
            saved += 1
    yield f"{saved} of {len(requests)} logs saved"
