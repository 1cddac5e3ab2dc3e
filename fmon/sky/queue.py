"""Read the job queue, from SkyPilot or from a file.

A ``QueueReader`` can only read: by its type, code that monitors can't launch or cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fmon.errors import ConfigError, QueueError
from fmon.sky.reader import SDK_MAY_KNOW, Answer, QueueReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from fmon.sky.reader import JobSpec

Read = TypeVar("Read")


class SkyQueue:
    """SkyPilot's API server: plain HTTP, or its SDK if that is not enough."""

    name = "sky"

    def __init__(self, http: QueueReader, open_sdk: Callable[[], QueueReader]) -> None:
        self._http = http
        self._open_sdk = open_sdk

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Read the queue once; see ``QueueReader.read``."""
        return self._either(lambda: self._http.read(while_waiting), lambda: self._open_sdk().read())

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Read the specs of some jobs; see ``SpecReader.read_specs``."""
        return self._either(
            lambda: self._http.read_specs(job_ids), lambda: self._open_sdk().read_specs(job_ids)
        )

    def _either(self, http: Callable[[], Read], sdk: Callable[[], Read]) -> Read:
        """Read over HTTP, or with the SDK if plain HTTP is not enough."""
        try:
            return http()
        except QueueError as first:
            if first.error_type not in SDK_MAY_KNOW:
                raise
            try:
                return sdk()
            except QueueError as second:
                message = f"{first}; SkyPilot's SDK could not read the queue either: {second}"
                raise QueueError(message, error_type=first.error_type) from second


def open_queue(src: str | None, *, memo: Path | None = None) -> QueueReader:
    """Return the reader for a source of the queue.

    Parameters
    ----------
    src
        ``sky`` (also None), ``file:PATH`` or ``file:-`` (standard input).
    memo
        File that remembers a request that the server still works on after a timeout, so that the next poll
        does not add a second one; None = only within this process.

    Raises
    ------
    ConfigError
        The source is unknown.
    """
    kind, _, path = (src or "sky").partition(":")
    if kind == "sky" and not path:
        from fmon.sky.http_queue import HttpQueue

        return SkyQueue(HttpQueue(memo=memo), _sdk_queue)
    if kind == "file" and path:
        from fmon.sky.file_queue import FileQueue

        return FileQueue(path)
    message = f"--queue {src!r} is not a valid source; use sky, file:PATH or file:- (standard input)"
    raise ConfigError(message)


def _sdk_queue() -> QueueReader:
    from fmon.sky.sdk import SdkQueue  # slow to import, and few polls need it

    return SdkQueue()
