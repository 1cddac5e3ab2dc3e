"""Check job names against the grammars that SkyPilot and its clusters have for them.

``sky jobs launch`` accepts names with which no job can run. SkyPilot 0.14.1 writes the name into its own YAML
without quotes, so a job named ``1`` stays PENDING forever; and it names the job's cluster after it, so a job
named ``3d-unet`` ends as FAILED_PRECHECKS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fmon.launch.check import Check
from fmon.model import written_text
from fmon.text import counted, cut
from fmon.yaml_values import YamlValueError, load_documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmon.model import Condition, Experiment

NAME = re.compile(r"[A-Za-z0-9]+(?:[._-]{1,2}[A-Za-z0-9]+)*")
"""What SkyPilot accepts as the name of a task (``Task.validate_name``)."""
MAX_CHARS = 229
"""SkyPilot's server writes ``managed-user-dag-NAME-`` and 8 characters as the name of a file: 255 at most."""


def name_checks(experiment: Experiment) -> list[Check]:
    """Check the job name of every condition; the first wrong one is named, the others are counted."""
    wrong = [(each, found) for each in experiment.conditions if (found := name_fault(each.job_name))]
    if not wrong:
        return [Check("job_names", "ok", "SkyPilot accepts the name of every job")]
    condition, fault = wrong[0]
    more = len(wrong) - 1
    others = f" (and those of {counted(more, 'more condition')})" if more else ""
    sentence = (
        f"the job of condition {cut(condition.condition_id, 80)} would be named "
        f"{cut(condition.job_name, 80)!r}{others}, which {fault}; {_remedy(experiment, condition)}"
    )
    return [Check("job_names", "fail", sentence)]


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a job, after "which"; None if SkyPilot can run it.

    Examples
    --------
    >>> name_fault("dynunet-dice_ce-true-0") is None
    True
    >>> name_fault("a/b")
    "SkyPilot refuses ('/' is not a letter A-Z, a digit or one of . _ -)"
    """
    read = misread(name)
    if read is not None:
        return f"SkyPilot reads as {read} and not as a name, so it would stay PENDING forever"
    if not NAME.fullmatch(name):
        return f"SkyPilot refuses ({_reason(name)})"
    if not name[0].isalpha():
        return "no cluster can have (it must start with a letter), so the job would end as FAILED_PRECHECKS"
    if len(name) > MAX_CHARS:
        return f"has {len(name)} characters, and SkyPilot's server can't store more than {MAX_CHARS}"
    return None


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


def readable_template(factors: Iterable[str]) -> str:
    """Return a ``job_name`` that is unique per condition and starts with a letter: ``fold{fold}``."""
    return "-".join(f"{factor}{{{factor}}}" for factor in factors)


def _reason(name: str) -> str:
    """Return why a name does not have the form of ``NAME``."""
    odd = next((each for each in name if not re.match(r"[A-Za-z0-9._-]", each)), None)
    if odd is not None:
        shown = "a space" if odd == " " else repr(odd)
        return f"{shown} is not a letter A-Z, a digit or one of . _ -"
    if re.search(r"[._-]{3}", name):
        return "it has three of . _ - in a row"
    return "it must start and end with a letter or a digit"


def _remedy(experiment: Experiment, condition: Condition) -> str:
    """Propose a template if it makes the name valid, else shorter levels."""
    if not condition.factors.keys() >= experiment.factors.keys():
        # The template does not name a baseline that lacks a factor.
        named = f"baseline-{condition.condition_id}"
        if name_fault(named) is None:
            return f'set job_name: "{named}" in that baseline'
        return "set another job_name in that baseline"
    if _makes_valid_names(experiment):
        return f'set job_name: "{readable_template(experiment.factors)}"'
    return (
        "use levels of letters, digits and . _ - that are short, and pass the text itself in a variable "
        "(overrides: {FACTOR: {LEVEL: {envs: {NAME: text}}}})"
    )


def _makes_valid_names(experiment: Experiment) -> bool:
    """Return whether ``readable_template`` makes a valid name of every cell, with its levels as written."""
    return all(
        name_fault(
            "-".join(f"{name}{written_text(experiment, name, level)}" for name, level in cell.factors.items())
        )
        is None
        for cell in experiment.conditions
        if cell.kind == "grid"
    )


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
