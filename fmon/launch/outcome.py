"""What became of a dispatch, and of the launch that it was for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmon.errors import LaunchError, QueueError
from fmon.text import listed

if TYPE_CHECKING:
    from fmon.launch.preflight import Check


@dataclass(frozen=True, kw_only=True)
class DispatchOutcome:
    """What became of the attempts; each condition stands in one of these.

    Attributes
    ----------
    launched
        Job by condition that this run launched.
    found
        Job by condition that was launched before, or whose launch had been taken unnoticed.
    failed
        Why not, by condition.
    uncertain
        What is known of a launch that may have been taken, by condition.
    left
        Conditions that were not tried because the server was away.
    error
        Why the server was away; None = it was not.
    """

    launched: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    uncertain: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    error: QueueError | None = None

    def require_all(self, again: str) -> None:
        """Refuse where a job is missing.

        Parameters
        ----------
        again
            The command that resumes.

        Raises
        ------
        QueueError
            The server went away.
        LaunchError
            SkyPilot refused some, or may have taken some unnoticed.
        """
        without = [
            (self.failed, "could not be launched"),
            (self.uncertain, "may have been launched: SkyPilot lists them nowhere yet"),
        ]
        said = [
            f"{len(of)} {'condition' if len(of) == 1 else 'conditions'} {what}: "
            + listed(f"{condition} ({why})" for condition, why in of.items())
            for of, what in without
            if of
        ]
        if self.error is not None:
            said.insert(0, f"SkyPilot went away with {len(self.left)} jobs left to launch ({self.error})")
        message = f"{'; '.join(said)}; {again} resumes and launches nothing twice"
        if self.error is not None:
            raise QueueError(message, error_type=self.error.error_type)
        if said:
            raise LaunchError(message)


@dataclass(frozen=True, kw_only=True)
class Launched:
    """What a launch did.

    Attributes
    ----------
    experiment_id
        The experiment; of a dry run that would make one, the id it would have.
    is_new
        It was made now.
    had_count
        Conditions that had a job before.
    to_launch
        (job name, variables that fmon sets) by condition; of a dry run only.
    checks
        What was looked at.
    cost_usd
        Estimate for the jobs of this launch; None = unknown.
    dispatched
        What became of the launches.
    """

    experiment_id: str
    is_new: bool
    is_dry: bool
    condition_count: int
    had_count: int
    to_launch: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    cost_usd: float | None = None
    dispatched: DispatchOutcome = field(default_factory=DispatchOutcome)

    def sentences(self) -> list[str]:
        """Say what was done, for stderr."""
        said = [f"{check.result}: {check.sentence}" for check in self.checks if check.result != "ok"]
        what = "new experiment" if self.is_new else "continued"
        left = self.condition_count - self.had_count
        cost = "" if self.cost_usd is None else f", estimated at {self.cost_usd:.2f} USD"
        if self.is_dry:
            return [
                *said,
                f"{self.experiment_id}: {what}; would launch {left} jobs{cost}; nothing was changed",
            ]
        if not left:
            return [
                *said,
                f"{self.experiment_id}: all {self.condition_count} conditions have a job; nothing to do",
            ]
        done = self.dispatched
        said.append(
            f"{self.experiment_id}: {what}; {len(done.launched)} jobs launched{cost}; "
            f"{self.had_count + len(done.launched) + len(done.found)} of {self.condition_count} conditions "
            "have a job"
        )
        if done.found:
            said.append(f"{len(done.found)} had been launched already, unnoticed: {listed(done.found)}")
        return said

    def lines(self) -> list[str]:
        """Give the data, for stdout: the experiment's id; of a dry run one line a job."""
        if not self.is_dry:
            return [self.experiment_id]
        return [
            " ".join([name, *(f"{variable}={value}" for variable, value in envs.items())])
            for name, envs in self.to_launch.values()
        ]
