"""A world of jobs that somebody else launched, adopted and polled once, to cancel in."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from fmon.cancel.cancel import Cancelled, CancelRequest, WaitLimits, cancel, proposed
from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll
from fmon.sky.submit.submitter import InFlight
from tests.support import bursts
from tests.support.fake_skypilot import FakeSkyPilot, FakeSubmitter
from tests.support.queues import START
from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path

FIRED = CancelRequest(by="anna")
NAME = "burst-20260322T050000Z"
WAITING = [bursts.JOB_OF[condition_id] for condition_id in bursts.WAITING]
"""The jobs of the level that fails which have not started."""


class Adopted(World):
    """Ten jobs on a fake SkyPilot."""

    def __init__(self, root: Path, jobs: list[dict[str, Any]], config: str = bursts.CONFIG) -> None:
        super().__init__(root, config, server=FakeSkyPilot(jobs=jobs, ids=count(11)))
        self.logs = bursts.logs()
        self.submitter = super().open_submitter()
        self.server.pass_time(200)
        adopt(self.config, self.queue, self.data, now=START)
        self.poll()

    def open_submitter(self, hold: object = None) -> FakeSubmitter:
        """Open the same client always, so that a test can look at it."""
        return self.submitter

    def poll(self) -> None:
        """Poll at this moment."""
        poll(self.data, self.queue, now=self.server.clock(), logs=self.logs)

    def cancel(self, request: CancelRequest = FIRED, **limits: Any) -> Cancelled:
        """Cancel as the command does."""
        return cancel(
            self.study,
            request,
            self.submitter,
            self.queue,
            clock=self.server.time,
            limits=WaitLimits(**limits),
        )

    def proposed(self, request: CancelRequest = FIRED) -> Cancelled:
        """Show what would be cancelled."""
        return proposed(self.study, request, now=self.server.clock())

    def statuses(self) -> dict[str, str]:
        """The status of each job, by its name."""
        return {job["job_name"]: job["status"] for job in self.server.jobs}

    def record(self, name: str) -> dict[str, Any]:
        """What the server has of a job."""
        return next(job for job in self.server.jobs if job["job_name"] == name)

    def fly(
        self,
        name: str,
        *,
        seconds: float,
        condition_id: str | None = None,
        makes: bool = True,
        is_hidden: bool = False,
    ) -> None:
        """Let a launch be in flight for some seconds, and then make its job."""
        tags = {"experiment": NAME, "condition": condition_id or name, "cycle": 0}
        request = InFlight(
            request_id=name,
            job_name=name,
            experiment_id=tags["experiment"],
            condition_id=tags["condition"],
            cycle=0,
        )
        listed = [InFlight(request_id=name, is_readable=False) if is_hidden else request]
        self.submitter.in_flight = lambda: [*listed]

        def land() -> None:
            listed.clear()
            if makes:
                self.server.add(name, tags)

        self.server.at(self.server.now_s + seconds, land)
