"""How fast jobs are launched, and what became of them: what goes into a dispatch and comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

from fmon.errors import LaunchError, QueueError
from fmon.text import listed


@dataclass(frozen=True, kw_only=True)
class DispatchOutcome:
    """What became of the attempts; each condition stands in one of these.

    Attributes
    ----------
    launched : job by condition that this run launched
    found : job by condition that was launched before, or whose launch had been taken unnoticed
    failed : why not, by condition
    uncertain : what is known of a launch that may have been taken, by condition
    left : conditions that were not tried because the server was away
    error : why the server was away; None = it was not
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
        again : the command that resumes

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
