"""Describe the changes from one experiment to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmon.warehouse.result import Row

from collections import Counter
from dataclasses import asdict, dataclass
from typing import NamedTuple

from fmon.text import cost, duration, money

STATE_CHANGES = ("recovered", "regressed")
CHANGES = ("new", "returned", "recurring", "unexamined", "unproven", "fixed")
"""How a cause changed, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Rows of ``compare_queries`` for one pair of experiments; ``experiment_id`` is the later one.

    Attributes
    ----------
    conditions
        Number of matching conditions, and of all.
    experiment_summary, matched_summary
        Before and after; the latter over common conditions only, empty if there are none.
    outside
        Cells that only one of them has.
    """

    before_experiment_id: str
    experiment_id: str
    conditions: Row
    experiment_summary: list[Row]
    matched_summary: list[Row]
    coverage: list[Row]
    causes: list[Row]
    suspects: list[Row]
    state_changes: list[Row]
    outside: list[Row]

    def row(self) -> Row:
        """Return the change as one JSON object."""
        return asdict(self)


class Measure(NamedTuple):
    """A number of both experiments, as text; also over the common conditions if it is known."""

    name: str
    before: str
    after: str
    before_matched: str
    after_matched: str


def headline(change: Change) -> str:
    """Return the outcome of the common conditions in one sentence."""
    if not change.matched_summary:
        return "no condition in common"
    before, after = change.matched_summary
    counts = Counter(row["change"] for row in change.state_changes)
    changes = ", ".join(f"{counts[name]:,} {name}" for name in STATE_CHANGES)
    return (
        f"of the common conditions {before['succeeded_count']:,} of {before['condition_count']:,} succeeded "
        f"before, {after['succeeded_count']:,} of {after['condition_count']:,} after; {changes}"
    )


def matching(change: Change) -> list[str]:
    """Return which conditions were matched, by which factors, and which were not."""
    found = change.conditions
    shared = list(dict.fromkeys(row["factor"] for row in change.coverage if row["is_shared"]))
    sentences = [
        f"{found['matched_cell_count']:,} cells in common by {', '.join(shared) or 'no factor'}: "
        f"{found['before_matched_count']:,} of {found['before_condition_count']:,} conditions before, "
        f"{found['after_matched_count']:,} of {found['after_condition_count']:,} after"
    ]
    for side in ("before", "after"):
        if projected := _factors(change.coverage, side):
            sentences.append(f"projected out, only {side}: {', '.join(projected)}")
        if levels := _levels(change.coverage, side):
            sentences.append(f"outside, only {side}: {', '.join(levels)}")
    return sentences


def measures(change: Change) -> list[Measure]:
    """Return the numbers of both experiments, over all and over the common conditions."""
    rows = [*change.experiment_summary, *(change.matched_summary or [{}, {}])]
    counts = ("condition", "succeeded", "failed", "cancelled", "open", "missing", "cycle", "job")
    listed = [
        Measure(_plural(name), *(_count(row.get(f"{name}_count")) for row in rows))
        for name in counts
        if name in counts[:3] or any(row.get(f"{name}_count") for row in rows)
    ]
    return [
        *listed,
        Measure("run time", *(_hours(row.get("run_h")) for row in rows)),
        Measure("run time per success", *(_hours(row.get("run_per_success_h")) for row in rows)),
        Measure("cost", *(cost(row["cost_usd"], row["unpriced_count"]) if row else "" for row in rows)),
        Measure("cost per success", *(_per_success(row) for row in rows)),
        Measure("detection delay", *(duration(row.get("detection_latency_s")) for row in rows)),
    ]


def figures(change: Change) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value before and after, and what they cover.

    They cover the common conditions if there are any, since entire grids that differ can't be compared.
    """
    by_name = {each.name: each for each in measures(change)}
    changed = Counter(cause["change"] for cause in change.causes)
    counts = Counter(row["change"] for row in change.state_changes)
    rest = [f"{changed[name]:,} {name}" for name in CHANGES if name != "fixed" and changed[name]]
    return [
        _figure(change, "succeeded", by_name),
        _figure(change, "cost per success", by_name),
        (
            "causes fixed",
            f"{changed['fixed']:,} of {sum(cause['before_attempt_count'] > 0 for cause in change.causes):,}",
            ", ".join(rest) or "no other",
        ),
        ("conditions recovered", f"{counts['recovered']:,}", f"{counts['regressed']:,} regressed"),
        _figure(change, "detection delay", by_name),
    ]


def proof(cause: Row) -> str:
    """Return the evidence for the change of a cause."""
    change, affected = cause["change"], cause["matched_cell_count"]
    if change == "fixed":
        return f"{cause['succeeded_cell_count']:,} of the {affected:,} common cells it affected succeed now"
    if change == "unproven":
        none = f"none of the {affected:,} common cells it affected has succeeded"
        text = none if affected else "it affected no common cell"
    elif change == "returned":
        count = cause["earlier_count"]
        text = f"seen in {count:,} older {'experiment' if count == 1 else 'experiments'}, not before"
    else:
        text = ""
    if cause["root_cause_change"] == change:
        return text
    other = f"its root cause is {cause['root_cause_change']}, with another signature"
    return f"{text}; {other}" if text else other


def level_list(levels: dict[str, str]) -> str:
    """Format factor levels in one line."""
    return ", ".join(f"{factor}={level}" for factor, level in levels.items()) or "everything"


def _figure(change: Change, name: str, by_name: dict[str, Measure]) -> tuple[str, str, str]:
    """Format a measure before and after, over the common conditions if it is known for them."""
    each, total = by_name[name], by_name["conditions"]
    is_common = bool(change.matched_summary and (each.before_matched or each.after_matched))
    first = 3 if is_common else 1
    values = list(each[first : first + 2])
    if name == "succeeded":
        values = [f"{value} of {of}" for value, of in zip(values, total[first : first + 2], strict=True)]
    return name, " → ".join(value or "none" for value in values), "in common" if is_common else "in all"


def _factors(coverage: list[Row], side: str) -> list[str]:
    """List the factors that only one side has, with their number of levels."""
    alone = [row for row in coverage if not row["is_shared"] and row[f"{side}_expected_count"]]
    return [f"{factor} ({count:,})" for factor, count in Counter(row["factor"] for row in alone).items()]


def _levels(coverage: list[Row], side: str) -> list[str]:
    other = "after" if side == "before" else "before"
    return [
        f"{row['factor']}={row['level']}"
        for row in coverage
        if row["is_shared"] and not row[f"{other}_expected_count"]
    ]


def _plural(name: str) -> str:
    return f"{name}s" if name in ("condition", "cycle", "job") else name


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _hours(value: float | None) -> str:
    return "" if value is None else duration(value * 3600)


def _per_success(row: Row) -> str:
    if not row or row["cost_per_success_usd"] is None:
        return ""
    return money(row["cost_per_success_usd"]) + (" at least" if row["unpriced_count"] else "")
