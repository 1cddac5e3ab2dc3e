"""Summarize an experiment in a few sentences: outcome, causes, where in the grid, cost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmon.text import cost_source, cut, money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmon.warehouse.result import Row

UNEXAMINED = "unknown/unexamined"
MAX_NAMED = 2
"""Causes whose place in the grid the verdict names; the cards have all."""
NAME_CHARACTERS = 60
MUTE = re.compile(r"true|false|null|none|[^a-z]*|[-+]?[\d.]+e[-+]?\d+", re.I)
"""Levels that mean nothing without their factor: booleans and numbers."""
TIMES = " \N{MULTIPLICATION SIGN} "


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The sentences: outcome, causes and their places, cost; ``why`` may be empty."""

    how: str
    why: str
    cost: str


def verdict_of(
    outcome: Row, failures: Row, causes: Sequence[Row], suspects: Sequence[Row], *, budget_usd: Any = None
) -> Verdict:
    """Return the answers to what a reader asks first.

    Parameters
    ----------
    outcome, failures
        The rows of SUMMARY and FAILURE_SUMMARY.
    causes, suspects
        Rows of CAUSES, the largest causes first, and SUSPECTS.
    budget_usd
        Budget [USD]; None = there is none.
    """
    return Verdict(
        how=f"{_how(outcome, failures, causes)}.",
        why=_why(failures, causes, suspects),
        cost=f"{_cost(outcome, budget_usd)}.",
    )


def labels_of(causes: Sequence[Row]) -> dict[str, str]:
    """Return the shortest distinct names of the causes: the category, with the error if two share it.

    Returns
    -------
    dict
        root_cause_id -> name.
    """
    ids = [row["root_cause_id"] for row in causes]
    shared = Counter(map(_category, ids))
    names = {each: _category(each) if shared[_category(each)] == 1 else readable(each) for each in ids}
    counts = Counter(names.values())
    return {each: name if counts[name] == 1 else each.replace("/", " / ") for each, name in names.items()}


def readable(root_cause_id: str) -> str:
    """Format a root cause for people, without the hash that only distinguishes it from others.

    Examples
    --------
    >>> readable("data_missing/file/FileNotFoundError/a79497c8"), readable("cuda_oom/torch")
    ('data_missing / file / FileNotFoundError', 'cuda_oom / torch')
    """
    parts = root_cause_id.split("/")
    kept = parts if len(parts) < 4 else parts[:-1]
    return " / ".join(part for part in kept if part not in ("", "-"))


def place(combination: Mapping[str, str]) -> str:
    """Format a combination of levels as a place in the grid.

    Examples
    --------
    >>> place({"model": "sam3", "fold": "2", "calibrated": "true"}).split(TIMES)
    ['sam3', 'fold=2', 'calibrated=true']
    """
    return TIMES.join(_level(factor, level) for factor, level in combination.items())


def _level(factor: str, level: str) -> str:
    """Format a level, with its factor if it is a number or a boolean."""
    shown = cut(level, NAME_CHARACTERS)
    return f"{cut(factor, NAME_CHARACTERS)}={shown}" if MUTE.fullmatch(level) else shown


def _category(root_cause_id: str) -> str:
    return root_cause_id.partition("/")[0] if root_cause_id != UNEXAMINED else "not examined"


def _how(outcome: Row, failures: Row, causes: Sequence[Row]) -> str:
    total, succeeded = outcome["condition_count"], outcome["succeeded_count"]
    if not total:
        return "The experiment has no conditions"
    if outcome["missing_count"] == total:
        return f"Nothing has been launched yet: {_conditions(total)} planned"
    if not outcome["job_count"]:
        return f"No poll has shown a job yet: {_conditions(total)} in the manifest"
    if succeeded == total:
        return "The only condition succeeded" if total == 1 else f"All {total:,} conditions succeeded"
    so_far = " so far" if outcome["open_count"] else ""
    first = f"{succeeded:,} of {_conditions(total)} succeeded{so_far}"
    rest = [
        _failed(outcome, failures, causes),
        _counted(outcome["cancelled_count"], "was cancelled", "were cancelled"),
        _counted(outcome["running_count"], "is running", "are running"),
        _counted(outcome["pending_count"], "is pending", "are pending"),
        _counted(outcome["lost_count"], "is lost", "are lost"),
        _counted(outcome["missing_count"], "was never launched", "were never launched"),
    ]
    return "; ".join([first, *filter(None, rest)])


def _failed(outcome: Row, failures: Row, causes: Sequence[Row]) -> str:
    """Return how many failed with how many causes, including those that are running again."""
    failed, again = outcome["failed_count"], failures["failed_count"] - outcome["failed_count"]
    if not failed:
        return (
            f"{again:,} failed before and {'has' if again == 1 else 'have'} not succeeded since"
            if again > 0
            else ""
        )
    text = f"{failed:,} failed {_with_causes(failures, causes)}"
    return f"{text} ({again:,} more failed before)" if again > 0 else text


def _with_causes(failures: Row, causes: Sequence[Row]) -> str:
    unexamined = failures["unexamined_count"]
    examined = failures["failed_count"] - unexamined
    if not examined:
        return "and not examined yet" if unexamined == 1 else "and none of them examined yet"
    count = failures["cause_count"]
    named = [row for row in causes if row["root_cause_id"] != UNEXAMINED]
    what = f"with {labels_of(named)[named[0]['root_cause_id']]}" if count == 1 else f"with {count:,} causes"
    return f"{what} ({unexamined:,} not examined yet)" if unexamined else what


def _why(failures: Row, causes: Sequence[Row], suspects: Sequence[Row]) -> str:
    """Return the places of the largest causes that have one."""
    labels = labels_of(causes)
    first = {row["root_cause_id"]: row for row in reversed(suspects)}
    known = [row["root_cause_id"] for row in causes if row["root_cause_id"] != UNEXAMINED]
    placed = [f"{labels[each]} {_where(first[each])}" for each in known if each in first]
    if placed:
        return f"{'; '.join(placed[:MAX_NAMED])}."
    if not known:
        return ""
    subject = labels[known[0]] if failures["cause_count"] == 1 else "any of the causes"
    return f"No level or pair of levels explains {subject}."


def _where(suspect: Row) -> str:
    failed, total = suspect["failed_count"], suspect["total_count"]
    if not suspect["combination"]:
        return f"affected every condition that has ended ({failed:,} of {total:,})"
    verb = "affects all of" if failed == total else "affects"
    there = f"{failed:,} of {total:,} there"
    elsewhere = f"{suspect['outside_failed_count']:,} of {suspect['outside_total_count']:,} elsewhere"
    return f"{verb} {place(suspect['combination'])} ({there}, {elsewhere})"


def _cost(outcome: Row, budget_usd: Any) -> str:
    usd, wasted, unpriced = outcome["cost_usd"], outcome["wasted_usd"], outcome["unpriced_count"]
    if not outcome["job_count"]:
        return "Nothing has been spent yet"
    if usd is None:
        return f"The cost is unknown: {_counted(unpriced, 'job has', 'jobs have')} no price"
    when = "so far" if outcome["open_count"] else "in all"
    text = f"{'At least ' if unpriced else ''}{money(usd)} spent {when}"
    notes = (
        [cost_source(outcome["reported_count"], outcome["job_count"])] if outcome["reported_count"] else []
    )
    if budget_usd is not None:
        notes.append(f"{'over the budget of' if usd > budget_usd else 'budget'} {money(budget_usd)}")
    if notes:
        text += f" ({'; '.join(notes)})"
    if wasted:
        text += f", including {money(wasted)} wasted on failed attempts"
    if unpriced:
        text += f"; {_counted(unpriced, 'job has', 'jobs have')} no price"
    return text


def _conditions(count: int) -> str:
    return f"{count:,} condition" + ("" if count == 1 else "s")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""
