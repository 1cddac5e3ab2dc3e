"""Audit: the rules F1 to F5 and five criteria of quality, compared with what really happened.

Reads the views, the manifest and the config; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.relaunch.untracked import config_faults
from fmon.warehouse import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.study import Study

COLUMNS = ("rule", "criterion", "is_ok", "evidence")

AUDIT = """
select
    audit.criterion,
    audit.rule,
    audit.is_ok,
    audit.violation_count,
    audit.evidence
from audit
order by audit.criterion_number
"""

MANIFEST_RULE = "F5 factorial manifest"

Row = dict[str, Any]


def audit(study: Study) -> list[Row]:
    """Hold every rule and criterion against what happened; each passes or fails with its evidence.

    Parameters
    ----------
    study : the experiment

    Returns
    -------
    list of dict
        criterion, rule (1 to 5), is_ok, violation_count, evidence; by rule, each before its criteria.
    """
    found = rows(study.connect((AUDIT,)), AUDIT)
    untracked = config_faults(study)
    return [_with(row, untracked) if row["criterion"] == MANIFEST_RULE else row for row in found]


def exit_status(audited: Iterable[Row]) -> int:
    """Give the exit code: 0, else 20 + the first rule that was not kept."""
    return next((20 + row["rule"] for row in audited if not row["is_ok"]), 0)


def _with(row: Row, untracked: list[str]) -> Row:
    """Add what the view can't see because it stands in the config."""
    if not untracked:
        return row
    evidence = untracked if row["is_ok"] else [row["evidence"], *untracked]
    count = row["violation_count"] + len(untracked)
    return {**row, "is_ok": False, "violation_count": count, "evidence": "; ".join(evidence)}
