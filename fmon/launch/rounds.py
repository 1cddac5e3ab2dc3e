"""Submit queued conditions in rounds between the polls of a watch, until all are submitted or time is up.

A round is a separate launch: it takes the launch lock, checks budget, prices and image digest again,
and resumes from the audit. Between two rounds the lock is free, and nothing is kept that a killed process
would lose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fmon.errors import FmonError
from fmon.launch.dispatch import AnotherLauncher
from fmon.launch.outcome import DispatchOutcome
from fmon.model import LaunchLimits
from fmon.text import clock as time_text
from fmon.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fmon.clock import Clock
    from fmon.launch.outcome import Launched
    from fmon.monitor.queued import Queued

    Submit = Callable[[frozenset[str]], Launched]


@dataclass(kw_only=True)
class Rounds:
    """The rounds of one watch.

    Attributes
    ----------
    submit
        Launches what is queued; gets the conditions to leave out.
    clock
        The clock.
    outcome
        The outcome of the newest launch.
    limits
        How to submit, as in the config.
    trouble
        Why the newest round submitted nothing; None = it was allowed to.
    """

    submit: Submit
    clock: Clock
    outcome: DispatchOutcome = field(default_factory=DispatchOutcome)
    limits: LaunchLimits = field(default_factory=LaunchLimits)
    trouble: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """Why a launch can't be accepted without a change, by condition; it is not retried."""
    next_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Wait before the first round: the launch before it was one."""
        self.refused |= self.outcome.failed
        self._schedule()

    def after_poll(self, queued: Queued | None, *, has_fired: bool) -> bool:
        """Submit what is queued if it is time to, and return whether a job was launched.

        Parameters
        ----------
        queued
            The conditions without a job, as of the poll.
        has_fired
            Whether the kill switch has fired: then nothing more is submitted.
        """
        now = self.clock.now()
        if queued is None or queued.until is None:
            return False
        if has_fired:
            self.trouble = f"the kill switch has fired; next: {queued.command}"
        elif not queued.is_awaited(now):
            self.trouble = f"gave up after {duration(self.limits.give_up_after_s)}; next: {queued.command}"
        elif now >= self.next_at:
            return self._round()
        return False

    def sentence(self, queued: Queued | None) -> str | None:
        """Return what is not submitted, why, and what happens next; the same text until that changes."""
        if queued is None:
            return None
        if self.trouble is not None:
            return f"{queued.count:,} not submitted: {self.trouble}"
        if queued.until is None:
            return queued.sentence
        why = f" ({reason})" if (reason := self._reason()) else ""
        every = duration(self._interval_s)
        return f"{queued.count:,} not submitted{why}, trying every {every} until {time_text(queued.until)}"

    def require_all(self, command: str, missing: Collection[str]) -> None:
        """Raise an error if conditions have no job in the end; see ``DispatchOutcome.require_all``.

        Parameters
        ----------
        command
            The command that resumes.
        missing
            The conditions without a job.
        """
        uncertain = {each: why for each, why in self.outcome.uncertain.items() if each in missing}
        failed = {each: why for each, why in self.refused.items() if each in missing}
        why = self.trouble or self._reason() or "not submitted"
        queued = {each: why for each in missing if each not in uncertain and each not in failed}
        DispatchOutcome(queued=queued, failed=failed, uncertain=uncertain).require_all(command)

    def _round(self) -> bool:
        try:
            launched = self.submit(frozenset(self.refused))
        except AnotherLauncher:
            self.trouble = "another fmon is submitting"
        except FmonError as fault:
            self.trouble = str(fault)
        else:
            self.trouble, self.limits, self.outcome = None, launched.limits, launched.dispatched
            self.refused |= self.outcome.failed
        self._schedule()
        return self.trouble is None and bool(self.outcome.launched or self.outcome.found)

    @property
    def _interval_s(self) -> float:
        return max(self.limits.retry_interval_s, self.limits.backoff_s)

    def _schedule(self) -> None:
        self.next_at = self.clock.now() + timedelta(seconds=self._interval_s)

    def _reason(self) -> str | None:
        """Return why the newest launch left conditions queued; None if it is not known."""
        if self.outcome.error is not None:
            return str(self.outcome.error)
        reasons = [*self.outcome.queued.values(), *self.outcome.uncertain.values()]
        return reasons[0] if reasons else None
