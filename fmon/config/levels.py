"""Factors and their levels: checks and look-up."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fmon.config.shape import shown
from fmon.config.source import Source
from fmon.errors import ConfigError
from fmon.model import Entry, Level, level_text, value_key, value_text
from fmon.text import nearest
from fmon.written import plain

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset(Entry.__struct_fields__) | {"envs", "resources"}
"""Keys of a manifest entry or a baseline, which no factor may be called."""
SELECTING = frozenset({"state", "cause", "job"})
"""Keys of a selection (``fmon.manifest.select``), which no factor may be called."""
_LARGEST_INT = 2**63


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
        name: {value_key(level): number for number, level in enumerate(levels)}
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
    value = plain(level)
    number = levels.get(value_key(value)) if isinstance(value, bool | int | float | str) else None
    if number is None:
        has = ", ".join(shown(each) for _, each in list(levels)[:8]) + (", ..." if len(levels) > 8 else "")
        message = (
            f"factor {factor} has no level {shown(level)}; its levels are {has} "
            "(text, numbers and true/false differ)"
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
        return f"{shown(level)}, which can't be compared with other levels; quote it if it is a name"
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
    distinct = DistinctLevels(source, where)
    for number, raw in enumerate(levels):
        level = check_level(source, raw, *at, name, number)
        distinct.add(level, *at, name, number)
    return levels


class DistinctLevels:
    """Refuses levels of one factor that are equal, or that jobs or views could not distinguish."""

    def __init__(self, source: Source, where: str) -> None:
        self._source, self._where = source, where
        self._known: dict[tuple[str, Any], Level] = {}

    def add(self, level: Level, *at: Any) -> None:
        """Add a level that is at a location of the config."""
        keys = (("value", value_key(level)), ("job", level_text(level)), ("view", value_text(level)))
        for key in keys:
            if key in self._known:
                raise self._fault(self._known[key], level, *at)
        self._known |= dict.fromkeys(keys, level)

    def _fault(self, first: Level, second: Level, *at: Any) -> ConfigError:
        if value_key(first) != value_key(second):
            reason = "which are the same text in job names, variables or views; write one of them differently"
        elif level_text(first) == level_text(second):
            return self._source.fault(f"{self._where} has the level {shown(second)} twice; remove one", *at)
        else:
            reason = "which are the same number; remove one, or quote both if they are names"
        return self._source.fault(
            f"{self._where} has the levels {shown(first)} and {shown(second)}, {reason}", *at
        )
