"""Track which SkyPilot API server has an experiment's jobs: another one has other jobs with the same ids.

The manifest keeps the addresses under which the jobs were found, and the id of the server. A server with
another id, or without one under another address, is the same if it lists one of the jobs: see
docs/decisions/0029.
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
    if answer.server is None or not manifest.api_servers or _is_known(manifest, answer):
        return
    if not _has_own_job(store, manifest, answer.records):
        raise OtherServerError(_sentence(manifest, answer))


def note_server(store: Store, manifest: Manifest, answer: Answer, *, has_own: bool) -> bool:
    """Keep the address and the id of the server in the manifest in memory; return whether they are new.

    Parameters
    ----------
    store, manifest, answer
        As in ``refuse_other_server``, which has accepted the answer.
    has_own
        Whether it is already known that the answer has jobs of the experiment.
    """
    if answer.server is None:
        return False
    known = manifest.api_servers
    server_id = answer.server_id or known.get(answer.server, "")
    if known.get(answer.server) == server_id:
        return False
    if not (has_own or _is_known(manifest, answer) or _has_own_job(store, manifest, answer.records)):
        return False
    kept = {address: known[address] for address in known if address != answer.server}
    manifest.api_servers = dict([*kept.items(), (answer.server, server_id)][-MAX_ADDRESSES:])
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
        manifest.api_servers = {answer.server: answer.server_id or ""}
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
    return (
        f"the jobs are on SkyPilot's API server {_expected(manifest)}, not on {find_endpoint().server}; "
        f"set SKYPILOT_API_SERVER_ENDPOINT={_url([*manifest.api_servers][-1])}, or, if it is the same "
        f"server, run `fmon poll {manifest.experiment_id}`"
    )


def _sentence(manifest: Manifest, answer: Answer) -> str:
    expected, answered = [*manifest.api_servers][-1], _label(answer.server or "", answer.server_id)
    reach = f"set SKYPILOT_API_SERVER_ENDPOINT={_url(expected)}, or, "
    return (
        f"the jobs of {manifest.experiment_id} are on SkyPilot's API server {_expected(manifest)}, but "
        f"{answered} answered and lists none of them; {reach if expected != answer.server else ''}"
        f"if {answered} has replaced it, run `fmon poll {manifest.experiment_id} --new-server`"
    )


def _expected(manifest: Manifest) -> str:
    return listed((_label(*server) for server in manifest.api_servers.items()), 2)


def _label(address: str, server_id: str | None) -> str:
    return f"{_url(address)} (server {server_id})" if server_id else address


def _url(address: str) -> str:
    return address.partition(" ")[0]


def _is_known(manifest: Manifest, answer: Answer) -> bool:
    """Return whether the server that answered has the jobs: by its id, otherwise by its address."""
    ids = {*manifest.api_servers.values()} - {""}
    return answer.server_id in ids if answer.server_id and ids else answer.server in manifest.api_servers


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
