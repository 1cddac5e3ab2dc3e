"""Job names that SkyPilot would lose: it writes them into a YAML of its own without quotes.

Measured with SkyPilot 0.14.1: a job called ``1`` is taken, its controller is refused
(``1 is not of type 'string'``), and the job stays PENDING for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.model import Condition


def misread(name: str) -> str | None:
    """Say what YAML takes a job's name for where nobody quotes it; None where it is the name.

    Examples
    --------
    >>> misread("1_000"), misread("on"), misread("null"), misread("1e3"), misread("fold1")
    ('the number 1000', 'true', 'nothing', None, None)
    """
    try:
        read = yaml.load(f"name: {name}", Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that no calendar has
        return "no value at all"
    return None if read == {"name": name} else _described(read["name"])


def misread_names(conditions: Iterable[Condition]) -> dict[str, tuple[Condition, str]]:
    """Find the conditions whose job's name YAML takes for something else: by id, and for what."""
    found = ((condition, misread(condition.job_name)) for condition in conditions)
    return {condition.condition_id: (condition, read) for condition, read in found if read is not None}


def readable_template(factors: Iterable[str]) -> str:
    """Give a ``job_name`` that tells all conditions apart and that YAML reads as text: ``fold{fold}``."""
    return "-".join(f"{factor}{{{factor}}}" for factor in factors)


def _described(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}"
        case list() | dict():
            return "a list or a mapping"
    return f"the date {value}"
