"""The result of ``fmon adopt``, and its messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from fmon.text import listed


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """The result of adopting.

    Attributes
    ----------
    is_new
        The experiment was created; otherwise one that had some of these jobs was updated.
    attached
        Newly attached jobs, by condition.
    superseded
        Earlier ended jobs of the same conditions.
    duplicates
        Other jobs, by condition.
    missing
        Conditions without a job.
    strangers
        Names of all other jobs in the queue.
    by_variables
        Names of jobs that have the variables of their condition, but not its job name, by condition.
    rejected
        One sentence per job with the name of a condition but different variables.
    warnings
        What launch would have refused, and what is not known.
    bad
        One sentence per invalid queue record.
    """

    experiment_id: str
    is_new: bool
    condition_count: int
    attached: dict[str, int] = field(default_factory=dict)
    superseded: list[int] = field(default_factory=list)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    by_variables: dict[str, str] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return what was found, for stderr."""
        have = self.condition_count - len(self.missing)
        kind = "adopted" if self.is_new else "already known, updated"
        sentences = [
            f"{self.experiment_id}: {kind}; {have} of {self.condition_count} conditions have a job, "
            f"{len(self.attached)} of them new"
        ]
        if self.missing:
            sentences.append(f"{len(self.missing)} conditions without a job: {listed(self.missing)}")
        for condition, jobs in self.duplicates.items():
            sentences.append(
                f"{condition} also has job {listed(map(str, jobs))}: you pay for the same condition twice"
            )
        if self.superseded:
            sentences.append(
                f"{len(self.superseded)} earlier jobs of these conditions have ended; the newest counts"
            )
        if self.by_variables:
            pairs = listed(f"{name} as {condition}" for condition, name in self.by_variables.items())
            sentences.append(f"{len(self.by_variables)} jobs were adopted by their variables: {pairs}")
        sentences += self.rejected
        if self.strangers:
            sentences.append(f"{len(self.strangers)} other jobs in the queue: {listed(self.strangers)}")
        return [*sentences, *(f"warning: {warning}" for warning in self.warnings)]
