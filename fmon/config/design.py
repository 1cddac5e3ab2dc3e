"""The design of an experiment before it is expanded: factors, levels and their settings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple

from fmon.config.envs import Variables
from fmon.config.levels import DistinctLevels, check_factor, check_level, find_level, known_levels
from fmon.config.shape import BaselineKeys, ConfigKeys, OverrideKeys, check_keys
from fmon.config.source import Source
from fmon.model import Level, level_text, value_key, value_text
from fmon.sky.user_yaml import NOT_COMPARED
from fmon.text import nearest
from fmon.written import plain


class Cell(NamedTuple):
    """One level as the expansion needs it: with its position, its settings and its text in the config."""

    number: int
    level: Level
    text: str
    minutes: float | None
    resources: dict[str, Any] | None
    envs: dict[str, str] | None


class Baseline(NamedTuple):
    """One condition outside the grid."""

    cells: dict[str, Cell]
    own: BaselineKeys


class Exclusion(NamedTuple):
    """The excluded combinations of some factors: the positions of the factors, and the level numbers."""

    positions: list[int]
    combinations: set[tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A checked design.

    Attributes
    ----------
    grid
        Each factor's cells, in the order of the config.
    exclude
        Combinations that are left out of the grid.
    baselines
        Conditions outside the grid.
    template
        The job name as (text before, factor or empty); None if the config has none.
    minutes
        Expected run time of a job whose levels do not set one.
    """

    grid: dict[str, list[Cell]]
    exclude: list[Exclusion]
    baselines: list[Baseline]
    template: list[tuple[str, str]] | None
    minutes: float | None

    def written_levels(self) -> dict[str, dict[str, str]]:
        """Return how the config writes a number, by factor and value, if that is not its default text."""
        outside = [list(baseline.cells.items()) for baseline in self.baselines]
        cells = [(factor, cell) for factor, each in self.grid.items() for cell in each]
        written: dict[str, dict[str, str]] = {}
        for factor, cell in (*cells, *(pair for pairs in outside for pair in pairs)):
            if cell.text != level_text(cell.level):
                written.setdefault(factor, {})[value_text(cell.level)] = cell.text
        return written


def read_design(
    source: Source,
    keys: ConfigKeys,
    factors: Mapping[str, Sequence[Level]],
    variables: Variables,
    *,
    max_conditions: int,
) -> Design:
    """Check everything that mentions a factor or a level.

    Parameters
    ----------
    source
        The config, for line numbers in errors.
    keys
        Its validated keys.
    factors
        Its checked factors.
    variables
        Its variables.
    max_conditions
        Maximum number of conditions, checked before anything is expanded.
    """
    _check_size(source, factors, len(keys.baselines), max_conditions=max_conditions)
    baselines = [_baseline(source, raw, factors, number) for number, raw in enumerate(keys.baselines)]
    cells = _cells(source, keys, _with_baselines(source, factors, baselines))
    _check_envs(source, keys, variables, baselines, factors)
    by_level = {factor: {value_key(cell.level): cell for cell in found} for factor, found in cells.items()}
    return Design(
        grid={factor: cells[factor][: len(levels)] for factor, levels in factors.items()},
        exclude=_excluded(source, keys.exclude, factors),
        baselines=[
            Baseline({factor: by_level[factor][value_key(level)] for factor, level in levels.items()}, own)
            for levels, own in baselines
        ],
        template=_template(source, keys.job_name, factors),
        minutes=keys.expect.minutes,
    )


def _check_size(
    source: Source, factors: Mapping[str, Sequence[Level]], baseline_count: int, *, max_conditions: int
) -> None:
    """Refuse a grid that is too large, before it takes memory."""
    sizes = [len(levels) for levels in factors.values()]
    count = math.prod(sizes) + baseline_count
    if count > max_conditions:
        message = (
            f"{' x '.join(map(str, sizes))} levels and {baseline_count} baselines make {count} conditions, "
            f"more than {max_conditions}; add --max-conditions {count} to allow them"
        )
        raise source.fault(message, "factors")


def _baseline(
    source: Source, raw: dict[Any, Any], factors: Mapping[str, Sequence[Level]], number: int
) -> tuple[dict[str, Level], BaselineKeys]:
    """Split a baseline into its factor levels and its own keys."""
    own = {key: value for key, value in raw.items() if key in BaselineKeys.model_fields}
    levels = {key: value for key, value in raw.items() if key not in own}
    for key, level in levels.items():
        if key not in factors:
            known = [*factors, *BaselineKeys.model_fields]
            message = f"unknown key {key!r} in a baseline; {nearest(key, known)}"
            raise source.fault(message, "baselines", number, key)
        check_level(source, level, "baselines", number, key)
    if not levels:
        message = "a baseline needs at least one factor level, such as {model: plain}"
        raise source.fault(message, "baselines", number)
    in_order = {factor: levels[factor] for factor in factors if factor in levels}
    return in_order, check_keys(BaselineKeys, own, source, "baselines", number)


def _with_baselines(
    source: Source,
    factors: Mapping[str, Sequence[Level]],
    baselines: list[tuple[dict[str, Level], BaselineKeys]],
) -> dict[str, dict[tuple[str, Level], int]]:
    """Index the levels of the grid and, after them, those that only baselines have."""
    known = known_levels(factors)
    distinct: dict[str, DistinctLevels] = {}
    for number, (levels, _) in enumerate(baselines):
        for factor, level in levels.items():
            if value_key(level) in known[factor]:
                continue
            if factor not in distinct:
                distinct[factor] = DistinctLevels(source, factor)
                for each in factors[factor]:
                    distinct[factor].add(each)
            distinct[factor].add(level, "baselines", number, factor)
            known[factor][value_key(level)] = len(known[factor])
    return known


def _cells(
    source: Source, keys: ConfigKeys, known: dict[str, dict[tuple[str, Level], int]]
) -> dict[str, list[Cell]]:
    """Collect the settings of each level."""
    minutes: dict[tuple[str, int], float] = {}
    for factor, by_level in keys.expect.by.items():
        check_factor(source, factor, known, "expect", "by", factor)
        for level, expected in by_level.items():
            number = find_level(source, factor, level, known, "expect", "by", factor, level)
            minutes[factor, number] = expected
    overrides: dict[tuple[str, int], OverrideKeys] = {}
    for factor, changes in keys.overrides.items():
        check_factor(source, factor, known, "overrides", factor)
        for level, change in changes.items():
            number = find_level(source, factor, level, known, "overrides", factor, level)
            overrides[factor, number] = change
    return {
        factor: [
            _cell(number, level, minutes.get((factor, number)), overrides.get((factor, number)))
            for (_, level), number in levels.items()
        ]
        for factor, levels in known.items()
    }


def _cell(number: int, level: Level, minutes: float | None, change: OverrideKeys | None) -> Cell:
    resources, envs = (plain(change.resources), texts(change.envs)) if change else (None, None)
    return Cell(number, plain(level), level_text(level), minutes, resources, envs)


def texts(envs: Mapping[str, Level]) -> dict[str, str]:
    """Return the values of environment variables as text."""
    return {name: level_text(value) for name, value in envs.items()}


def optional_texts(envs: Mapping[str, Level | None]) -> dict[str, str | None]:
    """Return the values of environment variables as text; None = not set."""
    return {name: None if value is None else level_text(value) for name, value in envs.items()}


def _check_envs(
    source: Source,
    keys: ConfigKeys,
    variables: Variables,
    baselines: list[tuple[dict[str, Level], BaselineKeys]],
    factors: Mapping[str, Any],
) -> None:
    """Refuse to set a variable that carries a factor, or one of fmon's own.

    A job would then run with the level of another one, or be taken for another one.
    """
    owner = _owners(source, variables.of_factor, factors)
    for variable, factor in owner.items():
        _refuse_own(source, variable, "envs" if factor in variables.of_factor else "factors", factor)
    settings: list[tuple[Iterable[str], Mapping[str, Any], tuple[str | int, ...]]] = [
        (keys.fixed, factors, ("fixed",)),
        (variables.fixed, factors, ("envs",)),
        *(
            (change.envs, factors, ("overrides", factor, level))
            for factor, changes in keys.overrides.items()
            for level, change in changes.items()
        ),
        *((own.envs, levels, ("baselines", number)) for number, (levels, own) in enumerate(baselines)),
    ]
    for names, carried, loc in settings:
        for variable in names:
            _refuse_own(source, variable, *loc)
            if owner.get(variable) in carried:
                message = (
                    f"{variable} passes the factor {owner[variable]} to the job and can't be set here; "
                    "remove it, or name another variable for the factor in envs"
                )
                raise source.fault(message, *loc)


def _refuse_own(source: Source, variable: str, *loc: Any) -> None:
    """Refuse a variable that fmon sets itself, since it says which job of which condition this is."""
    if variable in NOT_COMPARED:
        message = f"{variable} can't be set here, because fmon sets it itself; remove it or rename it"
        raise source.fault(message, *loc)


def _owners(source: Source, envs: Mapping[str, str], factors: Mapping[str, Any]) -> dict[str, str]:
    """Index the factors by their environment variables (default: the factor in upper case)."""
    owner: dict[str, str] = {}
    for factor in factors:
        variable = envs.get(factor, factor.upper())
        first = owner.setdefault(variable, factor)
        if first != factor:
            message = (
                f"factors {first} and {factor} would both set the environment variable {variable}; "
                "name another variable for one of them in envs"
            )
            raise source.fault(message, "envs" if envs else "factors")
    return owner


def _template(
    source: Source, job_name: str | None, factors: Mapping[str, Any]
) -> list[tuple[str, str]] | None:
    """Parse ``job_name`` into (text before, factor) pairs; None if there is no template."""
    if job_name is None:
        return None
    try:
        parts = list(Formatter().parse(job_name))
    except ValueError as fault:
        message = f"job_name {job_name!r} can't be parsed ({fault}); write factors as {{factor}}"
        raise source.fault(message, "job_name") from fault
    for _, factor, form, conversion in parts:
        if factor is None:
            continue
        if factor not in factors or form or conversion:
            message = f"job_name has the unknown placeholder {{{factor}}}; {nearest(factor, factors)}"
            raise source.fault(message, "job_name")
    return [(before, factor or "") for before, factor, _, _ in parts]


def _excluded(
    source: Source, exclude: list[dict[Any, Any]], factors: Mapping[str, Sequence[Level]]
) -> list[Exclusion]:
    """Group the excluded combinations by the factors they name."""
    known = known_levels(factors)
    positions = {factor: number for number, factor in enumerate(factors)}
    groups: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for number, combination in enumerate(exclude):
        if not combination:
            message = "this entry names no factor and would exclude every condition; write {factor: level}"
            raise source.fault(message, "exclude", number)
        chosen = {
            factor: find_level(source, factor, level, known, "exclude", number, factor)
            for factor, level in combination.items()
        }
        ordered = sorted(chosen, key=positions.__getitem__)
        group = groups.setdefault(tuple(positions[factor] for factor in ordered), set())
        group.add(tuple(chosen[factor] for factor in ordered))
    return [Exclusion(list(where), combinations) for where, combinations in groups.items()]
