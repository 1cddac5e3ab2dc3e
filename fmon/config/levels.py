"""Factors and their levels: checks and look-up."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fmon.config.shape import shown
from fmon.config.source import Source
from fmon.errors import ConfigError
from fmon.model import Entry, Level, level_text
from fmon.text import nearest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset(Entry.__struct_fields__) | {"envs", "resources"}
"""Keys of a manifest entry or a baseline, which no factor may be called."""
SELECTING = frozenset({"state", "cause", "job"})
"""Keys of a selection (``fmon.manifest.select``), which no factor may be called."""
_LARGEST_INT = 2**63


def exact(level: Level) -> tuple[str, Level]:
    """Return a key that distinguishes 1, true and 1.0, which are equal in Python."""
    return type(level).__name__, level


def check_factors(source: Source, factors: Mapping[Any, Any], *at: Any) -> dict[str, list[Level]]:
    """Check the names and levels of all factors.

    Parameters
    ----------
    source
        The config.
    factors
        The factors as written in the config.
    at
        Their location in the config.
    """
    if not factors:
        message = "there is no factor; write at least one, such as model: [a, b]"
        raise source.fault(message, *at)
    return {
        _check_name(source, name, *at): _check_levels(source, name, levels, *at)
        for name, levels in factors.items()
    }


Known = Mapping[str, Mapping[tuple[str, Level], int]]
"""Known levels by factor, with their positions."""


def known_levels(factors: Mapping[str, Sequence[Level]]) -> dict[str, dict[tuple[str, Level], int]]:
    """Index the levels of all factors for ``find_level``."""
    return {
        name: {exact(level): number for number, level in enumerate(levels)}
        for name, levels in factors.items()
    }


def find_level(source: Source, factor: Any, level: Any, known: Known, *at: Any) -> int:
    """Return the position of a level that the config names outside ``factors``.

    Raises
    ------
    ConfigError
        The factor or the level is unknown; the message lists the known levels.
    """
    check_factor(source, factor, known, *at)
    levels = known[factor]
    number = None if isinstance(level, list | dict) else levels.get(exact(level))
    if number is None:
        has = ", ".join(shown(each) for _, each in list(levels)[:8]) + (", ..." if len(levels) > 8 else "")
        message = (
            f"factor {factor} has no level {shown(level)}; its levels are {has} (text and numbers differ)"
        )
        raise source.fault(message, *at)
    return number


def check_factor(source: Source, factor: Any, known: Mapping[str, Any], *at: Any) -> None:
    """Refuse a factor that the config does not have."""
    if factor not in known or not isinstance(factor, str):
        message = f"unknown factor {shown(factor)}; {nearest(factor, known)}"
        raise source.fault(message, *at)


def check_level(source: Source, level: Any, *at: Any) -> Level:
    """Check one level: text, a finite number or true/false."""
    fault = _level_fault(level)
    if fault:
        message = f"a level of {source.name(*at[:-1])} is {fault}"
        raise source.fault(message, *at)
    return level  # type: ignore[no-any-return]


def is_level(value: Any) -> bool:
    """Return whether a value can be a level."""
    return _level_fault(value) is None


def _level_fault(level: Any) -> str | None:
    """Return what is wrong with a level; None if it is valid."""
    if level is None:
        return "empty (null); write the level, or quote the word: 'null'"
    if not isinstance(level, bool | int | float | str):
        return f"{shown(level)}; it must be text, a number or true/false"
    if isinstance(level, float) and not math.isfinite(level):
        return f"{level}, which can't be compared with other levels; quote it if it is a name"
    if isinstance(level, int) and abs(level) >= _LARGEST_INT:
        return "an integer of more than 64 bits; quote it"
    if isinstance(level, str) and (not level.strip() or level != level.strip() or not level.isprintable()):
        return f"{level!r}; write it without control characters and without spaces at its ends"
    return None


def _check_name(source: Source, name: Any, *at: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = (
            f"factor name {shown(name)} is invalid; use letters, digits and _, not starting with a digit"
        )
        raise source.fault(message, *at, name)
    if name in RESERVED:
        message = f"factor {name} has the name of a key of manifest entries or baselines; rename it"
        raise source.fault(message, *at, name)
    if name in SELECTING and at != ("inner",):  # inner factors are never selected
        message = f"factor {name} has the name of a key of selections (state, cause, job); rename it"
        raise source.fault(message, *at, name)
    return name


def _check_levels(source: Source, name: Any, levels: Any, *at: Any) -> list[Level]:
    where = source.name(*at, name)
    if not isinstance(levels, list):
        message = f"{where} is {shown(levels)}; write its levels as a list such as [a, b]"
        raise source.fault(message, *at, name)
    if not levels:
        message = f"{where} has no level; add one or remove the factor"
        raise source.fault(message, *at, name)
    by_text: dict[str, Level] = {}
    by_value: dict[tuple[str, Level], Level] = {}
    for number, raw in enumerate(levels):
        level = check_level(source, raw, *at, name, number)
        text, key = level_text(level), exact(level)
        first = by_text.get(text, by_value.get(key))
        if first is not None:
            raise _twice(source, where, first, level, *at, name, number)
        by_text[text] = by_value[key] = level
    return list(by_text.values())


def _twice(source: Source, where: str, first: Level, second: Level, *at: Any) -> ConfigError:
    """Return the error for two levels that jobs and views could not distinguish."""
    if exact(first) == exact(second):
        return source.fault(f"{where} has the level {shown(second)} twice; remove one", *at)
    return source.fault(
        f"{where} has the levels {shown(first)} and {shown(second)}, which are the same text in "
        "job names and environment variables; write one of them differently",
        *at,
    )
