"""Commands as typed, that meet a world's fake SkyPilot, its clock and its person instead of the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from fmon.cli.app import app
from fmon.cli.services import Services, using
from fmon.clients.shell import Ran

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from fmon.clock import Clock
    from tests.support.world import World


class FakeServices(Services):
    """The world's; a command of its config succeeds, since the runner's stderr is no file to write to."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def clock(self) -> Clock:
        """The server's."""
        return self.world.clock

    def open_queue(self, source: str) -> Any:
        """Open the server's queue."""
        return self.world.queue

    def open_logs(self, source: str) -> Any:
        """Open the world's logs."""
        return self.world.logs

    def open_submitter(self, hold: int | None = None) -> Any:
        """Open a client of the server."""
        return self.world.open_submitter(hold)

    def dependencies(self, *, queue: str, progress: Any) -> Any:
        """Return what the world launches with."""
        return self.world.dependencies(progress=progress)

    def reported_costs(self, jobs: Any, days: int) -> dict[int, float]:
        """Know of no cost."""
        return {}

    def run_command(self, step: str, command: str, *, folder: Path) -> Ran:
        """Succeed."""
        return Ran(step, command, 0, 0.1)

    def can_ask(self) -> bool:
        """Say whether the world has a person at the terminal."""
        return self.world.answers is not None

    def confirm(self, question: str) -> bool:
        """Answer as the person does; the questions are kept."""
        self.world.asked.append(question)
        return self.world.answers.pop(0)


def typed(fake: Services, *words: object, **options: Any) -> Result:
    """Type a command."""
    with using(fake):
        return CliRunner().invoke(app, [str(word) for word in words], **options)
