"""Which conditions a person means: by id, or as factor=level, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.model import level_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fmon.model import Entry, Manifest


def select(manifest: Manifest, words: Iterable[str]) -> dict[str, str]:
    """Find the conditions that are meant; several factors narrow each other, levels of one factor add up.

    Parameters
    ----------
    manifest : the experiment
    words : condition ids, which are added to the rest, and ``factor=level``

    Returns
    -------
    dict
        Condition -> the words that chose it, in the order of the manifest.

    Raises
    ------
    ConfigError
        There is no such condition, factor or level, or no condition has all the levels.
    """
    entries = {entry.condition: entry for entry in manifest.jobs}
    named: dict[str, str] = {}
    levels: dict[str, list[str]] = {}
    for word in words:
        factor, is_level, level = word.partition("=")
        if word in entries:
            named[word] = word
        elif is_level:
            _refuse_unknown_level(entries, factor, level)
            levels.setdefault(factor, []).append(level)
        else:
            raise ConfigError(f"{manifest.experiment_id} has no condition {word!r}; {_near(word, entries)}")
    if levels:
        by = " ".join(f"{factor}={level}" for factor, each in levels.items() for level in each)
        fits = {name: by for name, entry in entries.items() if _has(entry, levels)}
        if not fits:
            raise ConfigError(f"{manifest.experiment_id} has no condition with {by}")
        named = fits | named
    return {name: named[name] for name in entries if name in named}


def _has(entry: Entry, levels: Mapping[str, list[str]]) -> bool:
    return all(
        factor in entry.factors and level_text(entry.factors[factor]) in wanted
        for factor, wanted in levels.items()
    )


def _refuse_unknown_level(entries: Mapping[str, Entry], factor: str, level: str) -> None:
    factors = dict.fromkeys(name for entry in entries.values() for name in entry.factors)
    if factor not in factors:
        raise ConfigError(f"no factor {factor!r} in {factor}={level}; {_near(factor, factors)}")
    known = dict.fromkeys(
        level_text(entry.factors[factor]) for entry in entries.values() if factor in entry.factors
    )
    if level not in known:
        raise ConfigError(f"{factor} has no level {level!r}; {_near(level, known)}")


def _near(word: str, known: Iterable[str]) -> str:
    from fmon.text import nearest

    return nearest(word, known)
