"""The user's own failure patterns, checked."""

from typing import Any

from fmon.causes.taxonomy import CAUSES
from fmon.config.shape import PatternKeys, check_keys
from fmon.config.source import Source
from fmon.model import Pattern
from fmon.text import nearest

NOT_CAUSES = ("none", "unknown")


def read_patterns(source: Source, raw: list[dict[str, Any]]) -> list[Pattern]:
    """Check the config's ``patterns``.

    Parameters
    ----------
    source
        The config, for line numbers in errors.
    raw
        The mappings as written.

    Returns
    -------
    list[Pattern]
        In the order of the config: the first one that matches a line is used.

    Raises
    ------
    ConfigError
        A category is unknown, a name appears twice, or a regex is not valid in RE2 or matches
        everything.
    """
    patterns: list[Pattern] = []
    known = [name for name in CAUSES if name not in NOT_CAUSES]
    for number, each in enumerate(raw):
        keys = check_keys(PatternKeys, each, source, "patterns", number)
        if keys.category not in known:
            message = f"unknown category {keys.category!r}; {nearest(keys.category, known)}"
            raise source.fault(message, "patterns", number, "category")
        if any(pattern.name == keys.name for pattern in patterns):
            raise source.fault(f"the pattern name {keys.name!r} appears twice", "patterns", number, "name")
        for key in ("regex", "veto"):
            _check_regex(source, getattr(keys, key), number, key)
        patterns.append(Pattern(**keys.model_dump()))
    return patterns


def _check_regex(source: Source, regex: str | None, number: int, key: str) -> None:
    """Refuse a regex that RE2 can't compile or that would match every line."""
    if regex is None:
        return
    import re2  # heavy, and only configs with patterns need it

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(regex, options)
    except re2.error as fault:
        reason = fault.args[0].decode() if isinstance(fault.args[0], bytes) else str(fault.args[0])
        message = (
            f"{key} {regex!r} is not a valid RE2 regex ({reason}); "
            "RE2 has no lookaround and no backreferences, see github.com/google/re2/wiki/Syntax"
        )
        raise source.fault(message, "patterns", number, key) from fault
    if compiled.search("") is not None:
        message = (
            f"{key} {regex!r} matches an empty line, so it would match every line; make it more specific"
        )
        raise source.fault(message, "patterns", number, key)
