"""Track which SkyPilot API server has an experiment's jobs: another one has other jobs with the same ids.

SkyPilot has no server ids, and one server may have several addresses. So the manifest keeps the addresses
under which the jobs were found, and another one is added once it lists one of the jobs
(docs/decisions/0029).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError, QueueError
from fmon.manifest.file import ManifestFile
from fmon.manifest.identity import stored_jobs
from fmon.sky.endpoint import find_endpoint
from fmon.text import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.model import Manifest, Record
    from fmon.sky.reader import Answer
    from fmon.store.folder import Store

SKY = "sky"
"""Name of the readers that ask an API server."""

OTHER_SERVER = "OtherServer"
MAX_ADDRESSES = 10


class OtherServerError(QueueError):
    """The jobs are on another API server than the one that answered."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_type=OTHER_SERVER)


def refuse_other_server(store: Store, manifest: Manifest, answer: Answer) -> None:
    """Raise an error if the jobs of an experiment are on another server than the one that answered.

    Parameters
    ----------
    store, manifest
        The experiment.
    answer
        An answer of the queue.

    Raises
    ------
    OtherServerError
        The answer comes from an unknown address and has none of the jobs.
    """
    if answer.server is None or not manifest.api_servers or answer.server in manifest.api_servers:
        return
    if not _has_own_job(store, manifest, answer.records):
        raise OtherServerError(_sentence(manifest, answer.server))


def note_server(store: Store, manifest: Manifest, answer: Answer, *, has_own: bool) -> bool:
    """Add the address of the server to the manifest in memory; return whether it is new.

    Parameters
    ----------
    store, manifest, answer
        As in ``refuse_other_server``, which has accepted the answer.
    has_own
        Whether it is already known that the answer has jobs of the experiment.
    """
    if answer.server is None or answer.server in manifest.api_servers:
        return False
    if not has_own and not _has_own_job(store, manifest, answer.records):
        return False
    manifest.api_servers = [*manifest.api_servers, answer.server][-MAX_ADDRESSES:]
    return True


def move_to_server(store: Store, answer: Answer) -> None:
    """Record that the server that answered has replaced the one that had the jobs.

    Parameters
    ----------
    store
        The experiment; the caller holds the lock of polls.
    answer
        An answer of the queue.

    Raises
    ------
    ConfigError
        It is not the answer of an API server.
    """
    if answer.server is None:
        message = "--new-server is about SkyPilot's API server; leave it out, or poll with --queue sky"
        raise ConfigError(message)
    file = ManifestFile(store)
    with file.changing() as manifest:
        manifest.api_servers = [answer.server]
        file.write(manifest)


def is_elsewhere(manifest: Manifest, source: str) -> bool:
    """Return whether a request about a job would reach another server than the one that has the jobs.

    Parameters
    ----------
    manifest
        The experiment.
    source
        Name of the reader.

    Raises
    ------
    QueueError
        SkyPilot's config can't be read.
    """
    return source == SKY and bool(manifest.api_servers) and find_endpoint().server not in manifest.api_servers


def elsewhere_sentence(manifest: Manifest) -> str:
    """Return which server has the jobs, and how to reach it."""
    known = manifest.api_servers[-1]
    return (
        f"the jobs are on SkyPilot's API server {listed(manifest.api_servers, 2)}, not on "
        f"{find_endpoint().server}; set SKYPILOT_API_SERVER_ENDPOINT={_url(known)}, or, if it is the same "
        f"server, run `fmon poll {manifest.experiment_id}`"
    )


def _sentence(manifest: Manifest, answered: str) -> str:
    expected = manifest.api_servers[-1]
    return (
        f"{manifest.experiment_id}: its jobs are on SkyPilot's API server {listed(manifest.api_servers, 2)}, "
        f"but {answered} answered and lists none of them; set SKYPILOT_API_SERVER_ENDPOINT={_url(expected)}, "
        f"or, if {answered} has replaced it, run `fmon poll {manifest.experiment_id} --new-server`"
    )


def _url(server: str) -> str:
    return server.partition(" ")[0]


def _has_own_job(store: Store, manifest: Manifest, records: Sequence[Record]) -> bool:
    """Return whether an answer has a job of the experiment: its tag names it, or id, name and time agree."""
    if any(record.fmon_experiment == manifest.experiment_id for record in records):
        return True
    known = {
        (job_id, job.name, job.submitted_at)
        for job_id, jobs in stored_jobs(store).items()
        for job in jobs
        if job.submitted_at is not None
    }
    return any((record.job_id, record.job_name, record.submitted_at) in known for record in records)
