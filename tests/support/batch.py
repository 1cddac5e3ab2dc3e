"""A launch whose jobs run and end while fmon waits between two polls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fmon.sky.reader import LogRequest
from tests.support.death import Killed
from tests.support.launching import CONFIG, TASK
from tests.support.world import BUG, World

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from fmon.clock import Clock


class Batch(World):
    """A launch whose jobs run while ``fmon run`` waits between two polls."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, CONFIG, TASK)
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.waits = 0
        self.dies_at: int | None = None

    def wait(self, seconds: float) -> None:
        """Pass the time between two polls; all jobs but the slow ones start in one and end in the next."""
        self.waits += 1
        if self.waits == self.dies_at:
            raise Killed
        assert self.waits < 40, "it waits for ever"
        self.server.pass_time(seconds)
        now = self.server.clock().timestamp()
        for job in self.server.jobs:
            if job["status"] == "PENDING" and job["job_name"] not in self.slow:
                job.update(status="RUNNING", start_at=now)
            elif job["status"] == "RUNNING":
                has_failed = job["job_name"] in self.failing
                job.update(status="FAILED" if has_failed else "SUCCEEDED", end_at=now, job_duration=60.0)
                if has_failed:
                    self.logs.texts[LogRequest(job["job_id"])] = BUG

    @property
    def clock(self) -> Clock:
        """The server's clock, on which waiting lets jobs run."""
        return replace(self.server.time, sleep=self.wait)

    def run(self, *words: object) -> Result:
        """Type fmon run."""
        return self.type("run", "project/experiment.yaml", *words)

    def events_of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind, also while there is no experiment."""
        return self.events(kind) if self.stores else []
