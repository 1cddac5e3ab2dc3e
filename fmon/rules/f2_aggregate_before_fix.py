"""Rule F2: all failures are diagnosed together before any is fixed.

A pure function of the audit and the failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fmon.errors import RuleError
from fmon.events import DiagnosisEvent
from fmon.job_key import job_id_of
from fmon.text import counted, listed, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from fmon.events import DiagnosedCause, Event


class FailedAttempt(msgspec.Struct, frozen=True):
    """A failed attempt from view ``failure``."""

    condition_id: str
    job_id: int
    job_key: int
    root_cause_id: str


class NamedFailures(NamedTuple):
    """The failures that a diagnosis names: (root cause, job) pairs."""

    pairs: frozenset[tuple[str, int]]

    @property
    def jobs(self) -> frozenset[int]:
        """The jobs without the root causes."""
        return frozenset(key for _, key in self.pairs)


def f2_diagnosed_in_full(events: Sequence[Event], cycle: int, failures: Iterable[FailedAttempt]) -> datetime:
    """F2: a fix and a relaunch follow one full diagnosis of this cycle that has all failures.

    Parameters
    ----------
    events
        Events of the experiment.
    cycle
        The current cycle.
    failures
        Newest failures (view ``failure``).

    Returns
    -------
    datetime
        Time of the first diagnosis with these failures [UTC]. Commits after it may be their fix, even if
        a later diagnosis has given a cause another name.

    Raises
    ------
    RuleError
        Exit code 22; there is no full diagnosis, or the failures or their causes have changed since.
    """
    made = [event for event in events if isinstance(event, DiagnosisEvent) and event.cycle == cycle]
    full = [event for event in made if not event.is_preliminary]
    if not full:
        what = "only a preliminary diagnosis" if made else "no diagnosis"
        raise RuleError(2, f"cycle {cycle} has {what}; run fmon diagnose first")
    newest = named_in(full[-1].causes)
    current = NamedFailures(frozenset((row.root_cause_id, row.job_key) for row in failures))
    if newest != current:
        changed = sorted({job_id_of(key) for _, key in newest.pairs ^ current.pairs})
        jobs = listed(changed)
        raise RuleError(
            2,
            f"the diagnosis of {timestamp(full[-1].at)} is out of date: the results of job {jobs} have "
            "changed; run fmon diagnose again",
        )
    return next(event.at for event in full if named_in(event.causes).jobs == newest.jobs)


def named_in(causes: Iterable[DiagnosedCause]) -> NamedFailures:
    """Collect the failures that the causes of a diagnosis name."""
    return NamedFailures(frozenset((cause.root_cause_id, key) for cause in causes for key in cause.job_ids))


UNEXAMINED = "unknown/unexamined"
"""The root cause that view ``failure`` gives to an attempt that has not been examined yet."""


def f2_aggregate_before_fix(failures: Iterable[FailedAttempt]) -> None:
    """F2: every failure has a root cause before any is fixed; ``unknown`` counts as one.

    Parameters
    ----------
    failures
        Failed attempts (view ``failure``).

    Raises
    ------
    RuleError
        Exit code 22; names the attempts that have not been examined.

    Notes
    -----
    Prevents a rebuild and relaunch for one cause while another has not been found yet.
    """
    without = [f"{row.condition_id} (job {row.job_id})" for row in failures if is_unexamined(row)]
    if without:
        raise RuleError(
            2,
            f"{counted(len(without), 'failed attempt has', 'failed attempts have')} no root cause: "
            f"{listed(without)}. Run fmon diagnose again; fmon logs JOB shows the log",
        )


def is_unexamined(failure: FailedAttempt) -> bool:
    """Return whether a failed attempt has no finding yet."""
    return failure.root_cause_id == UNEXAMINED
