"""How the jobs are named: the template of ``job_name`` that gives the names of most jobs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_TRIES = 5_000
MAX_STEPS = 100_000
"""Maximum number of positions of levels to try in one name: equal levels have very many."""
MAX_SEEDS = 3
"""Number of names that are tried as the pattern of all others; the first one may be an exception."""


class Template(NamedTuple):
    """A template as (text before, factor) pairs; the last factor is empty."""

    parts: tuple[tuple[str, str], ...]

    def name(self, levels: Mapping[str, str]) -> str | None:
        """Return the name of a cell; None if it lacks a factor of the template."""
        if any(factor and factor not in levels for _, factor in self.parts):
            return None
        return "".join(before + levels.get(factor, "") for before, factor in self.parts)

    def order(self) -> list[str]:
        """Return the factors in the order of the name."""
        return [factor for _, factor in self.parts if factor]


def find_template(names: Sequence[tuple[str, Mapping[str, str]]]) -> Template | None:
    """Find the template that gives most names; None if it gives less than two thirds of them.

    Parameters
    ----------
    names
        The name of each job and its levels by factor; every factor must be in the name.
    """
    if not names or not names[0][1]:
        return None
    seeds = sorted(names, key=lambda each: -sum(map(len, each[1].values())))[:MAX_SEEDS]
    best, most = None, 0
    for name, levels in seeds:
        for template in islice(_templates(name, levels), MAX_TRIES):
            count = sum(template.name(each) == other for other, each in names)
            if count > most:
                best, most = template, count
            if most == len(names):
                return best
    return best if 3 * most >= 2 * len(names) else None


def _templates(name: str, levels: Mapping[str, str]) -> Iterator[Template]:
    """Yield every way in which the levels occur in a name, each once."""
    for places in _places(name, list(levels.items()), (), iter(range(MAX_STEPS))):
        parts, at = [], 0
        for start, end, factor in sorted(places):
            parts.append((name[at:start], factor))
            at = end
        yield Template((*parts, (name[at:], "")))


def _places(
    name: str,
    levels: list[tuple[str, str]],
    taken: tuple[tuple[int, int, str], ...],
    steps: Iterator[int],
) -> Iterator[tuple[tuple[int, int, str], ...]]:
    if not levels:
        yield taken
        return
    # The longest text has the fewest places.
    (factor, text), *rest = sorted(levels, key=lambda each: -len(each[1]))
    start = name.find(text)
    while start >= 0 and next(steps, None) is not None:
        end = start + len(text)
        if all(end <= other or start >= stop for other, stop, _ in taken):
            yield from _places(name, rest, (*taken, (start, end, factor)), steps)
        start = name.find(text, start + 1)
