"""Turn a grid of jobs into the keys of a config."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fmon.config.levels import RESERVED, SELECTING
from fmon.init.document import typed
from fmon.init.factors import Grid, Row, values_of
from fmon.init.jobs import RESOURCE
from fmon.init.template import Template, find_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fmon.model import Level


Settings = dict[str, dict[str, "Level | None"]]
"""``envs`` and ``resources`` of a level or a baseline."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """The keys of a config that come from a grid of jobs.

    Attributes
    ----------
    template
        How the jobs are named; None if the names do not follow from the levels.
    baselines
        One mapping per job outside the grid that has a level of a factor.
    unfit
        Jobs outside the grid that can't be a baseline.
    """

    factors: dict[str, list[Level]]
    envs: dict[str, str]
    fixed: dict[str, Level]
    overrides: dict[str, dict[Level, Settings]]
    baselines: list[dict[str, Any]]
    template: Template | None
    unfit: list[Row]

    def job_name(self) -> str | None:
        """Return the template; None if it is the default, or if names do not follow from levels."""
        if self.template is None:
            return None
        escaped = [
            (before.replace("{", "{{").replace("}", "}}"), each) for before, each in self.template.parts
        ]
        text = "".join(before + (f"{{{factor}}}" if factor else "") for before, factor in escaped)
        return None if text == "-".join(f"{{{factor}}}" for factor in self.factors) else text


def design_of(grid: Grid) -> Design:
    """Return the keys of a config: factors, their variables, and other settings."""
    factor_of = factor_names(grid.factors)
    template = template_of(grid, factor_of)
    order = [*(template.order() if template else ()), *factor_of.values()]
    variables = sorted(grid.factors, key=lambda variable: order.index(factor_of[variable]))
    factors = {factor_of[each]: _sorted(typed(grid.factors[each])) for each in variables}
    fixed = _fixed(grid)
    overrides = _overrides(grid, fixed)
    baselines, unfit = [], []
    for row in grid.beside:
        levels = {factor_of[each]: row.values[each] for each in variables if row.values.get(each)}
        if not levels:
            unfit.append(row)
            continue
        own = _own_values(row, grid, fixed, overrides)
        default = template.name(levels) if template else None
        name = default or "-".join(levels.values())
        baselines.append(
            {
                **{factor: _as_level(level, factors[factor]) for factor, level in levels.items()},
                **_settings(own),
                **({"job_name": row.job.name} if row.job.name != name else {}),
            }
        )
    return Design(
        factors=factors,
        envs={factor_of[each]: each for each in variables if factor_of[each].upper() != each},
        fixed={name: typed([value])[0] for name, value in fixed.items() if not name.startswith(RESOURCE)},
        overrides={
            factor_of[variable]: {
                _as_level(level, factors[factor_of[variable]]): _settings(changes)
                for level, changes in by_level.items()
            }
            for variable, by_level in overrides.items()
        },
        baselines=baselines,
        template=template,
        unfit=unfit,
    )


def template_of(grid: Grid, factor_of: Mapping[str, str] | None = None) -> Template | None:
    """Find how the jobs of a grid are named, from their levels."""
    names = factor_of or factor_names(grid.factors)
    return find_template(
        [(row.job.name, {names[each]: row.values[each] for each in grid.factors}) for row in grid.rows]
    )


def named_by_template(grid: Grid, rows: Sequence[Row]) -> Grid:
    """Prefer a job that the template names to a newer one of the same cell with another name."""
    names = factor_names(grid.factors)
    template = template_of(grid, names)
    if template is None:
        return grid
    named = {
        frozenset(row.values.items()): row
        for row in rows
        if template.name({names[each]: row.values.get(each, "") for each in grid.factors}) == row.job.name
    }
    return replace(grid, rows=[named.get(frozenset(row.values.items()), row) for row in grid.rows])


def odd_rows(grid: Grid) -> list[Row]:
    """Return the jobs of a grid whose name does not follow the template, although most names do."""
    names = factor_names(grid.factors)
    template = template_of(grid, names)
    if template is None:
        return []
    return [
        row
        for row in grid.rows
        if template.name({names[each]: row.values[each] for each in grid.factors}) != row.job.name
    ]


def factor_names(variables: Iterable[str]) -> dict[str, str]:
    """Return a valid name of a factor for each variable: MODEL_FAMILY is model_family."""
    names: dict[str, str] = {}
    for variable in variables:
        name = re.sub(r"[^a-z0-9_]", "_", variable.lower())
        if name in RESERVED | SELECTING or name in names.values() or not name[:1].isalpha():
            name = f"factor_{name}"
        while name in names.values():
            name += "_"
        names[variable] = name
    return names


def _sorted(levels: list[Level]) -> list[Level]:
    """Sort numbers; texts keep their order, and true comes first."""
    if all(isinstance(level, bool) for level in levels):
        return sorted(levels, reverse=True)
    return levels if any(isinstance(level, str) for level in levels) else sorted(levels)


def _as_level(text: str, levels: Sequence[Level]) -> Level:
    """Return a text with the type of the levels; a new level of a baseline may have another type."""
    if any(isinstance(level, str) for level in levels):
        return text
    return typed([text])[0]


def _settings(values: Mapping[str, str | None]) -> Settings:
    """Divide variables and resources; leave out what is empty."""
    found: Settings = {"envs": {}, "resources": {}}
    for name, value in values.items():
        key = "resources" if name.startswith(RESOURCE) else "envs"
        found[key][name.removeprefix(RESOURCE)] = None if value is None else typed([value])[0]
    return {key: each for key, each in found.items() if each}


def _fixed(grid: Grid) -> dict[str, str]:
    """Return the most frequent value of each variable that is not a factor and that all jobs have."""
    names = dict.fromkeys(name for row in grid.rows for name in row.values)
    fixed = {}
    for name in names:
        values = values_of(grid.rows, name)
        if name not in grid.factors and name not in grid.loose and None not in values:
            fixed[name] = Counter(row.values[name] for row in grid.rows).most_common(1)[0][0]
    return fixed


def _overrides(grid: Grid, fixed: Mapping[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return the variables that a level determines and that differ from ``fixed``, by factor and level."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name, factor in grid.derived.items():
        for row in grid.rows:
            value = row.values.get(name)
            if value is not None and value != fixed.get(name):
                found.setdefault(factor, {}).setdefault(row.values[factor], {})[name] = value
    return found


def _own_values(
    row: Row,
    grid: Grid,
    fixed: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, Mapping[str, str]]],
) -> dict[str, str | None]:
    """Return the variables in which a baseline differs from its levels; None = it does not have it."""
    expected = dict(fixed)
    for factor, by_level in overrides.items():
        expected |= by_level.get(row.values.get(factor, ""), {})
    actual = {name: value for name, value in row.values.items() if name not in grid.factors}
    actual = {name: value for name, value in actual.items() if name not in grid.loose}
    own: dict[str, str | None] = {
        name: value for name, value in actual.items() if expected.get(name) != value
    }
    return {**own, **dict.fromkeys(name for name in expected if name not in actual)}
