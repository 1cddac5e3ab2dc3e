"""The outcome of a dispatch, and of the launch that it was for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.errors import LaunchError, QueueError
from fmon.model import LaunchLimits
from fmon.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmon.launch.check import Check
    from fmon.launch.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class DispatchOutcome:
    """The outcome of the attempts; each condition is in one of these.

    Attributes
    ----------
    launched
        Jobs that this run launched, by condition.
    found
        Jobs that were launched before, or whose launch had been accepted unnoticed, by condition.
    queued
        Why a launch was refused that may be accepted later (overload, quota, capacity), by condition.
    failed
        Why a launch failed, by condition.
    uncertain
        What is known about a launch that may have been accepted, by condition.
    left
        Conditions that were not tried because the server was unavailable.
    error
        Why the server was unavailable; None = it was available.
    """

    launched: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    queued: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    uncertain: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    error: QueueError | None = None

    @property
    def has_queued(self) -> bool:
        """Whether launching again without a change may give more conditions a job."""
        return bool(self.queued or self.uncertain or self.left)

    def require_all(self, command: str) -> None:
        """Raise an error if a job is missing.

        Parameters
        ----------
        command
            The command that resumes.

        Raises
        ------
        QueueError
            The server became unavailable.
        LaunchError
            SkyPilot rejected some launches, or may have accepted some unnoticed.
        """
        without = [
            (self.queued, "stay queued"),
            (self.failed, "could not be launched"),
            (self.uncertain, "may have been launched, but SkyPilot does not list them yet"),
        ]
        problems = [
            f"{counted(len(reasons), 'condition')} {what}: {_explained(reasons)}"
            for reasons, what in without
            if reasons
        ]
        if self.error is not None:
            left = counted(len(self.left), "job")
            problems.insert(0, f"SkyPilot became unavailable with {left} left to launch ({self.error})")
        message = f"{'; '.join(problems)}; run {command} to resume, nothing is launched twice"
        if self.error is not None:
            raise QueueError(message, error_type=self.error.error_type)
        if problems:
            raise LaunchError(message)


def _explained(reasons: Mapping[str, str]) -> str:
    """List conditions, each with its reason; a reason that all have in common only once."""
    if len(reasons) > 1 and len(set(reasons.values())) == 1:
        return f"{listed(reasons)} ({next(iter(reasons.values()))})"
    return listed(f"{condition} ({why})" for condition, why in reasons.items())


@dataclass(frozen=True, kw_only=True)
class Launched:
    """The result of a launch.

    Attributes
    ----------
    experiment_id
        The experiment; in a dry run that would create one, the id it would have.
    is_new
        It was created by this launch.
    had_count
        Conditions that had a job before.
    commands
        The ``sky jobs launch`` command for each job to launch; only in a dry run.
    checks
        The checks.
    cost_usd
        Estimate for the jobs of this launch; None = unknown.
    dispatched
        The outcome of the launches.
    accepted
        The estimate that was allowed to exceed the budget; None = it did not exceed it.
    limits
        How to submit, as in the config.
    """

    experiment_id: str
    is_new: bool
    is_dry: bool
    condition_count: int
    had_count: int
    commands: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    cost_usd: float | None = None
    dispatched: DispatchOutcome = field(default_factory=DispatchOutcome)
    accepted: Estimate | None = None
    limits: LaunchLimits = field(default_factory=LaunchLimits)

    def sentences(self) -> list[str]:
        """Return what was done, for stderr."""
        sentences = [f"{check.result}: {check.sentence}" for check in self.checks if check.result != "ok"]
        what = "new experiment" if self.is_new else "continued"
        left = self.condition_count - self.had_count
        cost = "" if self.cost_usd is None else f", estimated at {self.cost_usd:.2f} USD"
        if self.is_dry:
            return [
                *sentences,
                f"{self.experiment_id}: {what}; would launch {left} jobs{cost}; nothing was changed",
            ]
        if not left:
            return [
                *sentences,
                f"{self.experiment_id}: all {self.condition_count} conditions have a job; nothing to do",
            ]
        done = self.dispatched
        sentences.append(
            f"{self.experiment_id}: {what}; {len(done.launched)} jobs launched{cost}; "
            f"{self.had_count + len(done.launched) + len(done.found)} of {self.condition_count} conditions "
            "have a job"
        )
        if done.found:
            sentences.append(f"{len(done.found)} had already been launched: {listed(done.found)}")
        return sentences

    def lines(self) -> list[str]:
        """Return the lines for stdout: the experiment's id; in a dry run one command per job."""
        return self.commands if self.is_dry else [self.experiment_id]
