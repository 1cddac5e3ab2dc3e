"""The root causes of an experiment, as rows of the views and as text.

A diagnosis, a fix plan and an issue describe the same row of view ``cause``, with its suspects and the
strategy of the taxonomy.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from fmon.causes.taxonomy import strategy
from fmon.warehouse import grouped_rows, typed_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

UNEXPLAINED = "no level or pair of levels explains it"
ALONE = "one failure is too few to tell which level explains it"

CAUSES = """
select
    cause.root_cause_id,
    cause.category,
    cause.subcategory,
    cause.root_cause,
    cause.exception_class,
    cause.message,
    cause.remedy,
    cause.confidence,
    cause.rule,
    cause.runner_up,
    cause.evidence,
    cause.evidence_source,
    cause.evidence_job_id,
    cause.evidence_job_key,
    cause.evidence_line,
    cause.exit_codes,
    cause.is_transient,
    cause.transient_evidence,
    cause.failed_count,
    cause.job_ids,
    cause.job_keys,
    cause.condition_ids,
    cause.affected_files,
    cause.signatures,
    cause.missing_log_count,
    cause.cost_usd,
    cause.unpriced_count,
    cause.first_failed_at,
    cause.last_failed_at
from cause
order by cause.failed_count desc, cause.cost_usd desc nulls last, cause.root_cause_id
"""

SUSPECT = """
select
    suspect.root_cause_id,
    suspect.combination,
    suspect.equivalents,
    suspect.scope,
    suspect.sentence,
    suspect.statement,
    suspect.round,
    suspect.failed_count,
    suspect.total_count,
    suspect.outside_failed_count,
    suspect.outside_other_count,
    suspect.outside_total_count,
    suspect.lift,
    suspect.p_value,
    suspect.p_holm
from suspect
"""

SUSPECTS = f"{SUSPECT} order by suspect.root_cause_id, suspect.round, suspect.p_holm"

QUERIES = (CAUSES, SUSPECTS)
"""The queries of this module; ``connect`` creates the views that they need."""


class Suspect(msgspec.Struct, frozen=True):
    """Levels that explain a cause: the columns of ``SUSPECT`` without the cause."""

    combination: dict[str, str]
    equivalents: list[dict[str, str]]
    scope: str
    sentence: str
    statement: str
    round: int
    failed_count: int
    total_count: int
    outside_failed_count: int
    outside_other_count: int
    outside_total_count: int
    lift: float | None
    p_value: float
    p_holm: float


class Cause(msgspec.Struct, frozen=True):
    """A root cause from view ``cause``: the columns of ``CAUSES``."""

    root_cause_id: str
    category: str
    subcategory: str | None
    root_cause: str | None
    exception_class: str | None
    message: str | None
    remedy: str | None
    confidence: float
    rule: str | None
    runner_up: str | None
    evidence: str | None
    evidence_source: str | None
    evidence_job_id: int
    evidence_job_key: int
    evidence_line: int | None
    exit_codes: list[int]
    is_transient: bool
    transient_evidence: str | None
    failed_count: int
    job_ids: list[int]
    job_keys: list[int]
    condition_ids: list[str]
    affected_files: list[str]
    signatures: list[str]
    missing_log_count: int
    cost_usd: Decimal | None
    unpriced_count: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None


class RootCause(Cause, frozen=True):
    """A root cause with the strategy of the taxonomy, and its suspects by round."""

    fix_strategy: str
    suspects: list[Suspect]


def root_causes(con: duckdb.DuckDBPyConnection) -> list[RootCause]:
    """Return every root cause to fix, the one with the most failures first.

    Parameters
    ----------
    con
        A connection with the views of one experiment, at least those of ``QUERIES``.
    """
    suspects = grouped_rows(con, SUSPECTS, Suspect, by="root_cause_id")
    return [
        RootCause(
            **asdict(cause),
            fix_strategy=strategy(cause.category, cause.subcategory),
            suspects=suspects.get(cause.root_cause_id, []),
        )
        for cause in typed_rows(con, CAUSES, Cause)
    ]


def headline(causes: Sequence[RootCause]) -> str | None:
    """Return the best explanation in one line: the surest suspect; None if nothing has failed.

    Parameters
    ----------
    causes
        The root causes.
    """
    if not causes:
        return None
    explained = [cause for cause in causes if cause.suspects]
    if not explained:
        return f"{_failures(causes)} of {_kinds(causes)}; {UNEXPLAINED}"
    surest = min(explained, key=lambda cause: (cause.suspects[0].p_holm, -cause.failed_count))
    return _explanation(surest, surest.suspects[0])


def transience(cause: Cause) -> str | None:
    """Return whether a cause was shown to be transient, in words; None if that is not expected.

    Remedy ``auto`` means that a relaunch alone may fix it: if nothing shows that, the text says so.
    """
    evidence = cause.transient_evidence
    if cause.is_transient:
        return f"transient: {evidence}"
    if evidence:
        return f"not shown to be transient, though {evidence}"
    if cause.remedy == "auto":
        return (
            "not shown to be transient: SkyPilot recorded no preemption, and no condition that failed with "
            "it has succeeded unchanged"
        )
    return None


def _explanation(cause: Cause, suspect: Suspect) -> str:
    """Return a suspect with its counter-evidence as one line."""
    failed, total = suspect.failed_count, suspect.total_count
    if not suspect.combination:
        return f"all {total:,} conditions that have ended failed with {cause.category}"
    all_failed = failed + suspect.outside_failed_count
    failures = "failure has" if all_failed == 1 else "failures have"
    count = f"all {all_failed:,}" if failed == all_failed else f"{failed:,} of {all_failed:,}"
    if all_failed == 1:
        count = "the only"
    levels = " and ".join(f"{factor}={level}" for factor, level in suspect.combination.items())
    there = "" if failed == total else f"{failed:,} of {total:,} there, "
    elsewhere = f"{suspect.outside_failed_count:,} of {suspect.outside_total_count:,} elsewhere"
    return f"{count} {cause.category} {failures} {levels}, {there}{elsewhere}"


def _failures(causes: Iterable[Cause]) -> str:
    count = sum(cause.failed_count for cause in causes)
    return "1 failure" if count == 1 else f"{count:,} failures"


def _kinds(causes: Sequence[RootCause]) -> str:
    return f"1 root cause ({causes[0].category})" if len(causes) == 1 else f"{len(causes):,} root causes"
