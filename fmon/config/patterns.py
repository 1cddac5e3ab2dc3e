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
        The config, for the lines of faults.
    raw
        The mappings as written.

    Returns
    -------
    list[Pattern]
        In the order of the config: the first that matches a line counts.

    Raises
    ------
    ConfigError
        An unknown category, a name that appears twice, a regex that RE2 does not take or that
        matches everything.
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
    """Refuse what RE2 can't compile and what would match every line."""
    if regex is None:
        return
    import re2  # heavy, and only configs with patterns need it

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(regex, options)
    except re2.error as fault:
        said = fault.args[0].decode() if isinstance(fault.args[0], bytes) else str(fault.args[0])
        message = (
            f"{key} {regex!r} is no RE2 pattern ({said}); "
            "RE2 has no look-around and no back-references: github.com/google/re2/wiki/Syntax"
        )
        raise source.fault(message, "patterns", number, key) from fault
    if compiled.search("") is not None:
        message = f"{key} {regex!r} matches an empty line, so it would match every line; make it say more"
        raise source.fault(message, "patterns", number, key)
