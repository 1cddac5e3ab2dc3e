"""Which diagnosis a fix and a relaunch stand on, as a pure decision over the audit.

Beside ``fmon.rules.kill_switch``, for its size: what F1 and F2 ask for once the jobs have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fmon.errors import RuleError
from fmon.events import DiagnosisEvent
from fmon.text import counted, listed, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from fmon.events import DiagnosedCause, Event


class FailedAttempt(msgspec.Struct, frozen=True):
    """A failed attempt as view ``failure`` has it."""

    condition_id: str
    job_id: int
    root_cause_id: str


class Named(NamedTuple):
    """The failures that a diagnosis names: (root cause, job) pairs."""

    pairs: frozenset[tuple[str, int]]

    @property
    def jobs(self) -> frozenset[int]:
        """The jobs alone."""
        return frozenset(job_id for _, job_id in self.pairs)


def f2_diagnosed_in_full(events: Sequence[Event], cycle: int, failures: Iterable[FailedAttempt]) -> datetime:
    """F2: a fix and a relaunch follow one full diagnosis of this cycle, with all that has failed.

    Parameters
    ----------
    events
        Of ``events.jsonl``.
    cycle
        The current one.
    failures
        Newest failures with condition_id, job_id, root_cause_id (of view ``failure``).

    Returns
    -------
    datetime
        When it was made [UTC]: the first diagnosis that gathered these failures. What is
        committed from then on may be their fix, also where a later one has only named a cause otherwise.

    Raises
    ------
    RuleError
        Exit code 22; there is none, only a preliminary one, or something has failed or been found since.
    """
    made = [event for event in events if isinstance(event, DiagnosisEvent) and event.cycle == cycle]
    full = [event for event in made if not event.is_preliminary]
    if not full:
        why = "only a preliminary diagnosis of" if made else "no diagnosis of"
        raise RuleError(2, f"there is {why} cycle {cycle}; gather all failures first: fmon diagnose")
    newest = named_in(full[-1].causes)
    wanted = Named(frozenset((row.root_cause_id, row.job_id) for row in failures))
    if newest != wanted:
        changed = sorted({job_id for _, job_id in newest.pairs ^ wanted.pairs})
        told = listed([str(job_id) for job_id in changed])
        raise RuleError(
            2,
            f"the diagnosis of {timestamp(full[-1].at)} is out of date: what is known of job {told} has "
            "changed; run fmon diagnose again",
        )
    return next(event.at for event in full if named_in(event.causes).jobs == newest.jobs)


def named_in(causes: Iterable[DiagnosedCause]) -> Named:
    """Collect the failures that the causes of a diagnosis name."""
    return Named(frozenset((cause.root_cause_id, job_id) for cause in causes for job_id in cause.job_ids))


UNEXAMINED = "unknown/unexamined"
"""The root cause that view ``failure`` gives to an attempt that nobody has looked at yet."""


def f2_aggregate_before_fix(failures: Iterable[FailedAttempt]) -> None:
    """F2: all failures are gathered, each with a root cause, before any is fixed; unknown is one too.

    Parameters
    ----------
    failures
        Failed attempts with condition_id, job_id, root_cause_id (of view ``failure``).

    Raises
    ------
    RuleError
        Exit code 22; names the attempts that nobody has examined.

    Notes
    -----
    Prevents a rebuild and relaunch for one cause while another still waits to be found.
    """
    without = [f"{row.condition_id} (job {row.job_id})" for row in failures if is_unexamined(row)]
    if without:
        raise RuleError(
            2,
            f"{counted(len(without), 'failed attempt is', 'failed attempts are')} without a root cause: "
            f"{listed(without)}. Run fmon diagnose again; fmon logs JOB shows what there is",
        )


def is_unexamined(failure: FailedAttempt) -> bool:
    """Tell whether a failed attempt has no finding yet."""
    return failure.root_cause_id == UNEXAMINED
