"""What launches and cancels: the only way from fmon to a change in SkyPilot.

Nothing that polls may import this module: tests/sky/test_read_only.py holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One managed job to launch: its name and its whole task YAML, metadata included.

    Attributes
    ----------
    attempt_key
        Tells this attempt to submit from all others; the outcome carries it.
    """

    attempt_key: str
    job_name: str
    task_yaml: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a submission.

    Attributes
    ----------
    job_id
        The managed job; None = there is none, or nobody knows.
    error_type, error
        Why not, one word and one line.
    is_uncertain
        SkyPilot may have taken it nevertheless; only the queue and the request list can tell.
    """

    attempt_key: str
    job_id: int | None = None
    error_type: str | None = None
    error: str | None = None
    is_uncertain: bool = False


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """A launch that SkyPilot's server has taken and not finished; it is in no queue yet.

    Attributes
    ----------
    experiment_id, condition_id, cycle
        What its task says that it is; None = it says nothing.
    is_readable
        False where the server shows no task: it may be anything.
    """

    request_id: str
    job_name: str | None = None
    experiment_id: str | None = None
    condition_id: str | None = None
    cycle: int | None = None
    is_readable: bool = True


class Submitter(Protocol):
    """Launches and cancels managed jobs. Never retries: a repeated launch is a second job."""

    def parse(self, task_yaml: str) -> int:
        """Let SkyPilot read a task YAML as a launch would; give the number of its tasks.

        Raises
        ------
        QueueError
            It refuses, or could not look (``error_type`` tells).
        """
        ...

    def submit(self, submission: Submission) -> None:
        """Hand one launch over and return at once."""
        ...

    def outcome(self, *, timeout_s: float) -> Outcome | None:
        """Wait for the next outcome of any submission; None after ``timeout_s``."""
        ...

    def in_flight(self) -> list[InFlight]:
        """List the launches that the server still works on, of whatever process.

        Raises
        ------
        QueueError
            The server did not answer.
        """
        ...

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Ask SkyPilot to cancel managed jobs; returns when it has taken the wish, not when they are gone.

        Raises
        ------
        QueueError
            It did not take it.
        """
        ...

    def close(self) -> None:
        """End it with whatever it still does: from then on nothing is sent.

        What has no outcome by then gets one that is uncertain; what is called after it starts again.
        """
        ...
