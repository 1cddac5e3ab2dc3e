"""Handle stdout and stderr that are closed at the start, lose their reader, or are on a full disk.

A reader that has seen enough (``fmon status | head``) is not an error. The rest is dropped, and the command
ends with its own exit code: stopping in the middle could interrupt a launch or a cancellation, and exit
code 0 of ``--exit-status`` would be wrong.
"""

from __future__ import annotations

import io
import os
import select
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from fmon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmon.clock import Clock

Item = TypeVar("Item")

CHECK_EVERY_S = 1.0
"""Interval at which a wait checks whether stdout still has a reader [s]."""


class NoReaderError(Exception):
    """stdout has no reader any more; ends what would otherwise continue."""


class _Descriptor(io.FileIO):
    """A descriptor that drops output once its reader is gone.

    Parameters
    ----------
    number
        1 or 2.
    name
        For the error about a full disk; None = drop it, there is nowhere to report it.
    """

    def __init__(self, number: int, name: str | None) -> None:
        super().__init__(number, "wb", closefd=False)
        self.is_dropping = False
        self._name = name

    def write(self, data: Any) -> int:
        """Write, or drop; any other exception than an OSError passes Typer, which exits with 1 for EPIPE."""
        if self.is_dropping:
            return memoryview(data).nbytes
        try:
            while (written := super().write(data)) is None:  # another program made the pipe non-blocking
                select.select([], [self], [])
        except OSError as fault:
            self.is_dropping = True
            if isinstance(fault, BrokenPipeError) or self._name is None:
                return memoryview(data).nbytes
            raise StoreError(f"can't write to {self._name}: {fault.strerror}") from fault
        return written

    def is_unread(self) -> bool:
        """Return whether the reader is gone, also if nothing was written since."""
        if self.is_dropping:
            return True
        poller = select.poll()
        poller.register(self, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0))


def guard() -> None:
    """Replace stdout and stderr of this process by streams that can lose their readers.

    A descriptor that is closed when fmon starts is opened on /dev/null: otherwise the next file that fmon
    opens would get its number, and whatever a child process prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the lowest free number
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = _guarded(sys.stdout, 1, "stdout")
    sys.stderr = _guarded(sys.stderr, 2, None)


def _guarded(before: TextIO | None, number: int, name: str | None) -> TextIO:
    """Return the guarded stream; one that was replaced before, as tests do, stays."""
    if before is not None and (not isinstance(before, io.TextIOWrapper) or before.fileno() != number):
        return before
    raw = _Descriptor(number, name)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",  # cron's locale may support ASCII only
        line_buffering=number == 2 or raw.isatty(),
    )


def _descriptor() -> _Descriptor | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Descriptor) else None


def while_read(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items to print, until a write has shown that the reader is gone."""
    descriptor = _descriptor()
    for item in items:
        if descriptor is not None and descriptor.is_dropping:
            return
        yield item


def require_reader() -> None:
    """Raise an error if stdout has no reader any more.

    Raises
    ------
    NoReaderError
        The reader is gone.
    """
    descriptor = _descriptor()
    if descriptor is not None and descriptor.is_unread():
        raise NoReaderError


def until_unread(clock: Clock) -> Clock:
    """Return a clock whose sleep ends with a ``NoReaderError`` when stdout has no reader any more."""
    if _descriptor() is None:
        return clock

    def sleep(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            require_reader()
            clock.sleep(min(left, CHECK_EVERY_S))

    return replace(clock, sleep=sleep)
