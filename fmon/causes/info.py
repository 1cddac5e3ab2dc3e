"""What a classification says, and what a user's own pattern is (floor 3)."""

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
    category : category of the taxonomy; ``none`` for a job that succeeded, ``unknown`` where
        nothing decides
    subcategory : the finer kind; None where there is none
    root_cause_id : what clusters, suspects and the diagnosis group by
    signature : hash of what makes two errors identical; the same for other numbers, paths,
        hosts and ranks
    root_cause : one sentence for a person
    evidence : the line that decided, at most 500 characters
    evidence_line : its number in the text as given, from 1; lines end at a line feed
    source : which text the evidence is from
    exception_class : class of the deciding exception
    message : its message, masked
    rule : id of the rule that decided
    confidence : 0 to 1
    runner_up : ``category/subcategory`` of the second best
    remedy : who can fix it: auto, config, code, unrecoverable (needs a person), none
    auto_fixable : a relaunch or a declared change of resources puts it right
    files : project files named in tracebacks and YAML, deepest first
    health : what a job that ended well should still tell
    """

    category: str
    subcategory: str | None = None
    root_cause_id: str
    signature: str
    root_cause: str
    evidence: str | None = None
    evidence_line: int | None = None
    source: Source | None = None
    exception_class: str | None = None
    message: str | None = None
    rule: str
    confidence: float
    runner_up: str | None = None
    remedy: Remedy
    auto_fixable: bool
    files: tuple[str, ...] = ()
    health: str | None = None
