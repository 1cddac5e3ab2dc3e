"""Which conditions a selection means: condition ids, ``factor=level``, ``state=STATE``, ``cause=ID``.

Pure: what a condition is at the moment is passed in; ``fmon.warehouse.selection`` reads it from the views.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from fmon.errors import ConfigError
from fmon.model import STATES, level_text
from fmon.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fmon.model import Entry, Level, Manifest

NOW = ("state", "cause")
"""Words of a selection that are about what a condition is at the moment, and not about its levels."""


class Current(NamedTuple):
    """What a condition is at the moment.

    Attributes
    ----------
    state
        as in view ``condition``
    causes
        root causes of its newest attempt
    earlier_causes
        root causes of all its attempts
    """

    state: str
    causes: frozenset[str]
    earlier_causes: frozenset[str]


def needs_current(words: Iterable[str]) -> bool:
    """Return whether a selection asks for more than ids and levels."""
    return any(word.partition("=")[0] in NOW and "=" in word for word in words)


def select(
    manifest: Manifest, words: Iterable[str], current: Mapping[str, Current] | None = None
) -> dict[str, str]:
    """Find the selected conditions.

    Different factors (also ``state`` and ``cause``) narrow the selection, several levels of one factor widen
    it, and condition ids are added to the rest. Levels are compared by value: ``lr=0.0001`` finds ``1e-4``.

    Parameters
    ----------
    manifest
        of the experiment
    words
        of the selection; none select nothing
    current
        what each condition is at the moment; needed where ``needs_current`` says so

    Returns
    -------
    dict
        Condition -> the words that select it, in the order of the manifest. It is empty where words are
        right but no condition is in such a state at the moment.

    Raises
    ------
    ConfigError
        There is no such condition, factor, level, state or cause, or no condition has all the levels.
    """
    entries = {entry.condition: entry for entry in manifest.jobs}
    named: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if word in entries:
            named[word] = word
        elif is_pair:
            wanted.setdefault(key, []).append(value)
        else:
            message = f"{manifest.experiment_id} has no condition {word!r}; {nearest(word, entries)}"
            raise ConfigError(message)
    found = _having(manifest, entries, wanted, current or {}) if wanted else {}
    chosen = found | named
    return {name: chosen[name] for name in entries if name in chosen}


def _having(
    manifest: Manifest,
    entries: Mapping[str, Entry],
    wanted: Mapping[str, Sequence[str]],
    current: Mapping[str, Current],
) -> dict[str, str]:
    """Find the conditions that have one of the values of every key."""
    levels = {
        factor: _levels(entries, factor, texts) for factor, texts in wanted.items() if factor not in NOW
    }
    by = " ".join(f"{key}={text}" for key, texts in wanted.items() for text in texts)
    fits = [name for name, entry in entries.items() if _has(entry, levels)]
    if not fits:
        raise ConfigError(f"{manifest.experiment_id} has no condition with {by}")
    states = frozenset(_known_state(text) for text in wanted.get("state", ()))
    causes = frozenset(_known_cause(manifest, current, text) for text in wanted.get("cause", ()))
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
    """Return the levels that are meant, as text."""
    factors = dict.fromkeys(name for entry in entries.values() for name in entry.factors)
    if factor not in factors:
        first = next(iter(texts))
        message = f"no factor {factor!r} in {factor}={first}; {nearest(factor, [*factors, *NOW])}"
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
    """Compare by value: numbers as numbers, true and false in any case, other levels as they are."""
    if isinstance(level, str):
        return level == text
    if isinstance(level, bool):
        return text.lower() == level_text(level)
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and number == level


def _known_state(text: str) -> str:
    if text not in STATES:
        raise ConfigError(f"no state {text!r} in state={text}; {nearest(text, STATES)}")
    return text


def _known_cause(manifest: Manifest, current: Mapping[str, Current], text: str) -> str:
    known = sorted(frozenset[str]().union(*(each.earlier_causes for each in current.values())))
    if text not in known:
        hint = nearest(text, known) if known else "nothing has failed"
        raise ConfigError(f"{manifest.experiment_id} has no root cause {text!r}; {hint}")
    return text
