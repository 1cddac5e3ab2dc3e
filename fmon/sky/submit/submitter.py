"""Protocol for launching and cancelling: the only way in which fmon changes anything in SkyPilot.

Code that polls must not import this module; tests/sky/test_read_only.py checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One managed job to launch: its name and its complete task YAML, including metadata.

    Attributes
    ----------
    attempt_key
        Identifies this submission; its outcome has the same key.
    """

    attempt_key: str
    job_name: str
    task_yaml: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a submission.

    Attributes
    ----------
    job_id
        The managed job; None if there is none or it is unknown.
    error_type, error
        Why it failed, as one word and one line.
    is_uncertain
        SkyPilot may have accepted it nevertheless; only the queue and the list of requests can tell.
    """

    attempt_key: str
    job_id: int | None = None
    error_type: str | None = None
    error: str | None = None
    is_uncertain: bool = False


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """A launch that SkyPilot's server has accepted but not finished; it is not in the queue yet.

    Attributes
    ----------
    experiment_id, condition_id, cycle
        From the metadata of its task; None if there is none.
    is_readable
        False if the server does not show the task, so it may be any.
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
        """Let SkyPilot parse a task YAML as a launch would, and return the number of its tasks.

        Raises
        ------
        QueueError
            SkyPilot refuses it, or could not check it; see ``error_type``.
        """
        ...

    def submit(self, submission: Submission) -> None:
        """Start one launch and return at once."""
        ...

    def outcome(self, *, timeout_s: float) -> Outcome | None:
        """Wait for the next outcome of any submission; return None after ``timeout_s``."""
        ...

    def in_flight(self) -> list[InFlight]:
        """List the launches that the server still works on, from any process.

        Raises
        ------
        QueueError
            The server did not answer.
        """
        ...

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Ask SkyPilot to cancel managed jobs; return when it has accepted, not when they have ended.

        Raises
        ------
        QueueError
            SkyPilot did not accept the request.
        """
        ...

    def close(self) -> None:
        """Stop, including launches in progress: nothing is sent from then on.

        Submissions without an outcome get an uncertain one. A later call starts again.
        """
        ...
