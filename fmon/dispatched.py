"""How fast jobs are launched, and what became of them: what goes into a dispatch and comes out (floor 5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from fmon.errors import LaunchError, QueueError
from fmon.manifests import named


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast, and how patient.

    Attributes
    ----------
    parallel : most launches handed over and not answered
    per_s : most launches handed over in a second
    look_s : time between two looks at what is uncertain [s]
    grace_s : how long an uncertain launch must have been in no list before it is launched again [s];
        longer than a proxy holds a request back (60 s by default)
    patience_s : after this without any change a launch that has no outcome is uncertain, and the uncertain
        ones are left to the next run [s]
    tries : how often one attempt is launched in one run where its outcome stays unknown
    """

    parallel: int = 8
    per_s: float = 4.0
    look_s: float = 10.0
    grace_s: float = 120.0
    patience_s: float = 900.0
    tries: int = 3


@dataclass(frozen=True, kw_only=True)
class Dispatched:
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
            + named(f"{condition} ({why})" for condition, why in of.items())
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
