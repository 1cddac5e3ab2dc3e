"""External services of a command: SkyPilot, the registry, the clock and the person at the terminal.

Commands use them through ``services()``; ``using`` replaces them, as the tests do.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fmon.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from fmon.clients.shell import Ran
    from fmon.launch.arguments import LaunchDependencies
    from fmon.sky.reader import LiveLogReader, QueueReader
    from fmon.sky.submit.submitter import Submitter


class Services:
    """The real services; each is imported when it is needed."""

    @property
    def clock(self) -> Clock:
        """The machine's clock."""
        return Clock()

    def open_queue(self, source: str) -> QueueReader:
        """Open the queue of ``--queue``."""
        from fmon.sky.queue import open_queue

        return open_queue(source)

    def open_logs(self, source: str) -> LiveLogReader:
        """Open the logs of the jobs of that queue."""
        from fmon.sky.logs import open_logs

        return open_logs(source)

    def open_submitter(self, hold: int | None = None) -> Submitter:
        """Open the client that can change SkyPilot; for ``hold`` see ``SdkSubmitter``."""
        from fmon.sky.submit.sdk import SdkSubmitter

        return SdkSubmitter(hold)

    def dependencies(self, *, queue: str, progress: Callable[[int, int], None]) -> LaunchDependencies:
        """Return what a launch depends on: SkyPilot, the image's registry, this machine."""
        from fmon.launch.arguments import LaunchDependencies
        from fmon.sky.prices import catalog_prices

        return LaunchDependencies(
            open_submitter=self.open_submitter,
            queue=self.open_queue(queue),
            digest_of=self.digest_of,
            catalog=catalog_prices,
            environ=os.environ,
            folder=Path.cwd(),
            clock=self.clock,
            run=self.run_command,
            progress=progress,
        )

    def digest_of(self, image: str) -> str:
        """Return the digest of an image from its registry."""
        from fmon.clients.registry import digest_of

        return digest_of(image)

    def reported_costs(self, jobs: Mapping[int, Collection[str]], days: int) -> dict[int, float]:
        """Return the costs of jobs from SkyPilot's cost report [USD]."""
        from fmon.sky.costs import reported_costs

        return reported_costs(jobs, days)

    def run_command(self, step: str, command: str, *, folder: Path) -> Ran:
        """Run a command of the config."""
        from fmon.clients.shell import run_command

        return run_command(step, command, folder=folder)

    def can_ask(self) -> bool:
        """Return whether there is a terminal to ask on."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask the person; the question goes to stderr.

        Raises
        ------
        typer.Abort
            Ctrl-C or Ctrl-D instead of an answer.
        """
        return typer.confirm(question, err=True)


_services: ContextVar[Services] = ContextVar("_services", default=Services())  # noqa: B039 - it has no state


def services() -> Services:
    """Return the services in use."""
    return _services.get()


@contextmanager
def using(other: Services) -> Iterator[None]:
    """Replace the services within a ``with`` block."""
    token = _services.set(other)
    try:
        yield
    finally:
        _services.reset(token)
