"""The conditions that a relaunch would run now: what ``fix verify`` checks and ``relaunch`` launches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fmon.rules.f3_rebuild_before_relaunch import RelaunchRemedy
from fmon.text import listed
from fmon.warehouse import column, typed_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

CANDIDATES = """
select
    relaunch_candidate.condition_id,
    relaunch_candidate.job_id,
    relaunch_candidate.reason,
    relaunch_candidate.root_cause_id,
    relaunch_candidate.category,
    relaunch_candidate.remedy,
    relaunch_candidate.fix,
    relaunch_candidate.fixed_by,
    relaunch_candidate.is_without_fix,
    relaunch_candidate.requires_request,
    relaunch_candidate.is_in_progress,
    relaunch_candidate.cycle
from relaunch_candidate
order by relaunch_candidate.manifest_position
"""

NEXT = "select newest_cycle.cycle + 1 as cycle from newest_cycle"

QUERIES = (CANDIDATES, NEXT)
"""The queries of this module; ``connect`` creates the views that they need."""


class Candidate(RelaunchRemedy, frozen=True):
    """A condition that may run again: the columns of ``CANDIDATES``.

    Attributes
    ----------
    job_id
        Job of its newest attempt.
    reason
        A key of ``WORDS``.
    requires_request
        A person cancelled it.
    is_in_progress
        Its cycle was already started, but it has no job in it yet.
    cycle
        The cycle in which it would run.
    """

    condition_id: str
    job_id: int | None
    reason: str
    category: str | None
    requires_request: bool
    is_in_progress: bool
    cycle: int


class Chosen(NamedTuple):
    """The conditions of a relaunch.

    Attributes
    ----------
    cycle
        The cycle of the relaunch.
    is_resumed
        That cycle was already started, and interrupted.
    jobs
        The candidates to relaunch.
    left_out
        Conditions that a person cancelled, relaunched only on request.
    unselected
        Other conditions that could be relaunched but are not selected.
    not_candidates
        Conditions that were selected by id but can't be relaunched.
    """

    cycle: int
    is_resumed: bool
    jobs: list[Candidate]
    left_out: list[str]
    unselected: list[str]
    not_candidates: list[str]

    @property
    def condition_ids(self) -> list[str]:
        """The conditions to relaunch."""
        return [row.condition_id for row in self.jobs]


def choose(
    con: duckdb.DuckDBPyConnection, *, include_cancelled: bool, selected: Mapping[str, str] | None
) -> Chosen:
    """Read from the views which conditions to relaunch.

    Parameters
    ----------
    con
        A connection with the views of the experiment, at least those of ``QUERIES``.
    include_cancelled
        Include jobs that a person cancelled.
    selected
        The selected conditions and the words that select them; None = all.
    """

    def is_selected(row: Candidate) -> bool:
        return selected is None or row.condition_id in selected

    found = typed_rows(con, CANDIDATES, Candidate)
    in_progress = [row for row in found if row.is_in_progress]
    candidates = in_progress or [row for row in found if include_cancelled or not row.requires_request]
    jobs = [row for row in candidates if is_selected(row)]
    by_id_only = {name for name, word in (selected or {}).items() if name == word}
    return Chosen(
        cycle=jobs[0].cycle if jobs else column(con, NEXT)[0],
        is_resumed=bool(in_progress),
        jobs=jobs,
        left_out=[
            row.condition_id
            for row in found
            if row.requires_request and not include_cancelled and not row.is_in_progress
        ],
        unselected=[row.condition_id for row in candidates if not is_selected(row)],
        not_candidates=sorted(by_id_only - {row.condition_id for row in found}),
    )


def remedies_of(jobs: Iterable[Candidate]) -> list[RelaunchRemedy]:
    """Return what F3 needs to know about conditions to relaunch."""
    return [
        RelaunchRemedy(row.root_cause_id, row.remedy, row.fix, row.fixed_by, row.is_without_fix)
        for row in jobs
    ]


def left_out_sentences(
    *, unselected: Sequence[str], not_candidates: Sequence[str], left_out: Sequence[str]
) -> list[str]:
    """Return which conditions are not relaunched and why, for stderr; parameters as in ``Chosen``."""
    sentences = []
    if unselected:
        sentences.append(f"not selected, left out: {listed(unselected)}")
    if not_candidates:
        sentences.append(f"selected, but there is nothing to relaunch: {listed(not_candidates)}")
    if left_out:
        names = listed(left_out)
        sentences.append(f"cancelled by a person, relaunched only with --include-cancelled: {names}")
    return sentences
