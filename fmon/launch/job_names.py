"""Find job names that SkyPilot misreads: it writes them into its own YAML without quotes.

Measured with SkyPilot 0.14.1: a job named ``1`` is accepted, its controller is rejected
(``1 is not of type 'string'``), and the job stays PENDING forever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmon.yaml_values import YamlValueError, load_documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.model import Condition


def misread(name: str) -> str | None:
    """Return what YAML reads an unquoted job name as; None if it is the name itself.

    Examples
    --------
    >>> misread("1_000"), misread("on"), misread("null"), misread("1e3"), misread("fold1")
    ('the number 1000', 'true', 'nothing', None, None)
    """
    try:
        read, *others = load_documents(f"name: {name}")
    except YamlValueError:
        return "no value at all"
    if others:
        return "several documents"
    return None if read == {"name": name} else _description(read["name"])


def misread_names(conditions: Iterable[Condition]) -> dict[str, tuple[Condition, str]]:
    """Return the conditions whose job name YAML misreads, by id, with what it reads."""
    found = ((condition, misread(condition.job_name)) for condition in conditions)
    return {condition.condition_id: (condition, read) for condition, read in found if read is not None}


def readable_template(factors: Iterable[str]) -> str:
    """Return a ``job_name`` that is unique per condition and that YAML reads as text: ``fold{fold}``."""
    return "-".join(f"{factor}{{{factor}}}" for factor in factors)


def _description(value: Any) -> str:
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
