"""Audit: check rules F1 to F5 and five quality criteria against what happened.

Reads the views, the manifest and the config; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from fmon.relaunch.untracked import config_faults
from fmon.warehouse import typed_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.study import Study

COLUMNS = ("rule", "criterion", "result", "evidence")

AUDIT = """
select
    audit.criterion,
    audit.rule,
    audit.result,
    audit.is_ok,
    audit.violation_count,
    audit.evidence
from audit
order by audit.criterion_number
"""

MANIFEST_RULE = "F5 factorial manifest"


class AuditRow(msgspec.Struct, frozen=True):
    """A rule, or one of its criteria, and whether it was followed: the columns of ``AUDIT``.

    Attributes
    ----------
    rule
        Number of the rule, 1 to 5.
    result
        ``pass``, ``fail``, or ``did_not_happen`` if there was nothing to check.
    is_ok
        The result is not ``fail``.
    """

    criterion: str
    rule: int
    result: str
    is_ok: bool
    violation_count: int
    evidence: str


def audit(study: Study) -> list[AuditRow]:
    """Check every rule and criterion against what happened; with its evidence.

    Parameters
    ----------
    study
        The experiment.

    Returns
    -------
    list of AuditRow
        The rows by rule, each rule before its criteria.
    """
    found = typed_rows(study.connect((AUDIT,)), AUDIT, AuditRow)
    untracked = config_faults(study)
    return [_with(row, untracked) if row.criterion == MANIFEST_RULE else row for row in found]


def exit_status(audited: Iterable[AuditRow]) -> int:
    """Return the exit code: 0, or 20 + the number of the first rule that was not followed."""
    return next((20 + row.rule for row in audited if not row.is_ok), 0)


def _with(row: AuditRow, untracked: list[str]) -> AuditRow:
    """Add what only the config shows, and not the view."""
    if not untracked:
        return row
    evidence = untracked if row.is_ok else [row.evidence, *untracked]
    count = row.violation_count + len(untracked)
    return replace(row, result="fail", is_ok=False, violation_count=count, evidence="; ".join(evidence))
