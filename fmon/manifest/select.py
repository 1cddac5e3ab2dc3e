"""Resolve a selection of conditions: condition ids, ``factor=level``, ``state=STATE``, ``cause=ID``.

Pure functions: ``fmon.warehouse.selection`` reads the current state of conditions from the views.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import ConfigError
from fmon.model import STATES, level_text
from fmon.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fmon.model import Entry, Level, Manifest

_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
NOW = ("state", "cause")
"""Keys of a selection that refer to the current state of a condition, not to its levels."""


class Current(NamedTuple):
    """The current state of a condition.

    Attributes
    ----------
    state
        Its state, as in view ``condition``.
    causes
        Root causes of its newest attempt.
    earlier_causes
        Root causes of all its attempts.
    """

    state: str
    causes: frozenset[str]
    earlier_causes: frozenset[str]


def needs_current(words: Iterable[str]) -> bool:
    """Return whether a selection needs more than ids and levels."""
    return any(word.partition("=")[0] in NOW and "=" in word for word in words)


def select(
    manifest: Manifest, words: Iterable[str], current: Mapping[str, Current] | None = None
) -> dict[str, str]:
    """Return the selected conditions.

    Different factors (also ``state`` and ``cause``) narrow the selection, several levels of one factor widen
    it, and condition ids are added to the rest. Levels are compared by value: ``lr=0.0001`` finds ``1e-4``.

    Parameters
    ----------
    manifest
        The manifest of the experiment.
    words
        The words of the selection; without words nothing is selected.
    current
        The current state of each condition; required if ``needs_current`` returns true.

    Returns
    -------
    dict
        The words that select each condition, in the order of the manifest. It is empty if the words are
        valid but no condition is currently in such a state.

    Raises
    ------
    ConfigError
        There is no such condition, factor, level, state or cause, or no condition has all the levels.
    """
    entries = {entry.condition: entry for entry in manifest.jobs}
    named: dict[str, str] = {}
    pairs: dict[str, list[str]] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if word in entries:
            named[word] = word
        elif is_pair:
            pairs.setdefault(key, []).append(value)
        else:
            message = f"{manifest.experiment_id} has no condition {word!r}; {nearest(word, entries)}"
            raise ConfigError(message)
    found = _having(manifest, entries, pairs, current or {}) if pairs else {}
    chosen = found | named
    return {name: chosen[name] for name in entries if name in chosen}


def _having(
    manifest: Manifest,
    entries: Mapping[str, Entry],
    pairs: Mapping[str, Sequence[str]],
    current: Mapping[str, Current],
) -> dict[str, str]:
    """Return the conditions that have one of the values of every key."""
    levels = {factor: _levels(entries, factor, texts) for factor, texts in pairs.items() if factor not in NOW}
    by = " ".join(f"{key}={text}" for key, texts in pairs.items() for text in texts)
    fits = [name for name, entry in entries.items() if _has(entry, levels)]
    if not fits:
        raise ConfigError(f"{manifest.experiment_id} has no condition with {by}")
    states = frozenset(_known_state(text) for text in pairs.get("state", ()))
    causes = frozenset(_known_cause(manifest, current, text) for text in pairs.get("cause", ()))
    return {
        name: by
        for name in fits
        if (not states or current[name].state in states)
        and (not causes or not causes.isdisjoint(current[name].causes))
    }


def _has(entry: Entry, levels: Mapping[str, frozenset[str]]) -> bool:
    return all(
        factor in entry.factors and level_text(entry.factors[factor]) in texts
        for factor, texts in levels.items()
    )


def _levels(entries: Mapping[str, Entry], factor: str, texts: Iterable[str]) -> frozenset[str]:
    """Return the levels that match some texts."""
    factors = dict.fromkeys(name for entry in entries.values() for name in entry.factors)
    if factor not in factors:
        first = next(iter(texts))
        message = f"unknown factor {factor!r} in {factor}={first}; {nearest(factor, [*factors, *NOW])}"
        raise ConfigError(message)
    known = {
        level_text(entry.factors[factor]): entry.factors[factor]
        for entry in entries.values()
        if factor in entry.factors
    }
    return frozenset(_level(factor, text, known) for text in texts)


def _level(factor: str, text: str, known: Mapping[str, Level]) -> str:
    if text in known:
        return text
    same = [name for name, level in known.items() if _is_same(level, text)]
    if not same:
        raise ConfigError(f"{factor} has no level {text!r}; {nearest(text, known)}")
    return same[0]


def _is_same(level: Level, text: str) -> bool:
    """Return whether a level has a value: numbers are compared as numbers, true and false in any case."""
    if isinstance(level, str):
        return level == text
    if isinstance(level, bool):
        return text.lower() == level_text(level)
    try:
        number = int(text, 16) if _HEX.fullmatch(text) else float(text)
    except ValueError:
        return False
    return math.isfinite(number) and number == level


def _known_state(text: str) -> str:
    if text not in STATES:
        raise ConfigError(f"unknown state {text!r} in state={text}; {nearest(text, STATES)}")
    return text


def _known_cause(manifest: Manifest, current: Mapping[str, Current], text: str) -> str:
    known = sorted(frozenset[str]().union(*(each.earlier_causes for each in current.values())))
    if text not in known:
        hint = nearest(text, known) if known else "nothing has failed"
        raise ConfigError(f"{manifest.experiment_id} has no root cause {text!r}; {hint}")
    return text
