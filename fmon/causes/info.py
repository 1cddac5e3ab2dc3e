"""The result of a classification."""

from typing import Literal

import msgspec

from fmon.model import Pattern

__all__ = ["FailureInfo", "Pattern", "Remedy", "Source"]

Remedy = Literal["auto", "config", "code", "unrecoverable", "none"]
Source = Literal["log", "controller_log", "failure_reason", "status"]


class FailureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Why one job failed.

    Attributes
    ----------
    category
        Category of the taxonomy; ``none`` for a job that succeeded, ``unknown`` if no rule decides.
    subcategory
        Kind within the category; None if there is none.
    root_cause_id
        Key by which clusters, suspects and the diagnosis group failures.
    signature
        Hash of the error; does not depend on numbers, paths, hosts and ranks.
    root_cause
        One sentence for the user.
    evidence
        The line that decided, at most 500 characters.
    evidence_line
        Its number in the text as passed, from 1; lines end at a line feed.
    source
        The text that the evidence is from.
    exit_code
        The exit code of the program that SkyPilot states, of several nodes that of the first to fail.
    exception_class
        Class of the exception that decided.
    message
        Its message, masked.
    rule
        Id of the rule that decided.
    confidence
        0 to 1.
    runner_up
        ``category/subcategory`` of the second best cause.
    remedy
        What fixes it: auto, config, code, unrecoverable (needs a person), none.
    auto_fixable
        A relaunch or a declared change of resources fixes it.
    files
        Project files named in tracebacks and YAML files, deepest first.
    health
        A warning about a job that succeeded.
    """

    category: str
    subcategory: str | None = None
    root_cause_id: str
    signature: str
    root_cause: str
    evidence: str | None = None
    evidence_line: int | None = None
    source: Source | None = None
    exit_code: int | None = None
    exception_class: str | None = None
    message: str | None = None
    rule: str
    confidence: float
    runner_up: str | None = None
    remedy: Remedy
    auto_fixable: bool
    files: tuple[str, ...] = ()
    health: str | None = None
