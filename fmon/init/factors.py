"""Which variables of a group of jobs are factors, which jobs form the grid, and which are outside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fmon.init.jobs import RESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmon.init.jobs import QueuedJob, Variables

MAX_SUPPORT = 0.25
"""In a grid that is not full, a level with at most this share of its cells is outside the grid."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A job as the analysis sees it: its variables, or parts of its name."""

    job: QueuedJob
    values: Variables


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A factorial grid.

    Attributes
    ----------
    factors
        Levels by variable, as text, in the order in which they were submitted.
    rows
        The jobs in the grid, one per cell.
    beside
        The jobs outside the grid, one per set of variables.
    derived
        The factor that determines each other variable that varies.
    loose
        Variables that no factor determines.
    """

    factors: dict[str, list[str]]
    rows: list[Row]
    beside: list[Row] = field(default_factory=list)
    derived: dict[str, str] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)

    @property
    def cell_count(self) -> int:
        """Number of cells of the full grid."""
        return math.prod(map(len, self.factors.values()))

    def has_cell_of(self, row: Row) -> bool:
        """Return whether a job has the levels of a cell."""
        return all(row.values.get(variable) in levels for variable, levels in self.factors.items())


def find_grid(rows: Sequence[Row], *, is_level: Callable[[str], bool]) -> Grid:
    """Find the largest part of the jobs that forms a grid.

    Rare levels are removed one by one, until the grid is full or every level has many of its cells.

    Parameters
    ----------
    rows
        One per job, by submission.
    is_level
        Whether a value can be a level.
    """
    kept, beside = newest_of_each(rows), []
    while True:
        grid = _analyzed(kept, is_level=is_level)
        rare = _rarest_level(grid)
        if rare is None:
            break
        variable, level = rare
        beside += [row for row in kept if row.values.get(variable) == level]
        kept = [row for row in kept if row.values.get(variable) != level]
    return replace(grid, beside=sorted(beside, key=lambda row: row.job.order()))


def without(grid: Grid, rows: Sequence[Row], *, is_level: Callable[[str], bool]) -> Grid:
    """Return the grid without some of its rows, which are then outside."""
    gone = {row.job.job_id for row in rows}
    rest = find_grid([row for row in grid.rows if row.job.job_id not in gone], is_level=is_level)
    beside = sorted([*grid.beside, *rows, *rest.beside], key=lambda row: row.job.order())
    return replace(rest, beside=beside)


def newest_of_each(rows: Sequence[Row]) -> list[Row]:
    """Keep the newest of several jobs with the same variables, if possible one with a name of its own."""
    best_last = sorted(rows, key=lambda row: not row.job.has_task_name)
    newest = {frozenset(row.values.items()): row for row in best_last}
    return sorted(newest.values(), key=lambda row: row.job.order())


def values_of(rows: Sequence[Row], variable: str) -> list[str | None]:
    """Return the different values of a variable in order; None = some job does not have it."""
    return list(dict.fromkeys(row.values.get(variable) for row in rows))


def varying(rows: Sequence[Row]) -> list[str]:
    """Return the variables that do not have the same value in all jobs."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return [name for name in names if len(values_of(rows, name)) > 1]


def is_decided(rows: Sequence[Row], variable: str, by: str) -> bool:
    """Return whether each value of one variable always comes with the same value of another."""
    pairs = {(row.values.get(by), row.values.get(variable)) for row in rows}
    return len(pairs) == len(values_of(rows, by))


def _analyzed(rows: Sequence[Row], *, is_level: Callable[[str], bool]) -> Grid:
    """Divide the varying variables into factors, variables that a factor determines, and all others."""
    names = varying(rows)
    able = [
        name
        for name in names
        if not name.startswith(RESOURCE)
        and all(each is not None and is_level(each) for each in values_of(rows, name))
    ]
    able = _without_labels(rows, able)
    factors: list[str] = []
    # Among those with the same number of levels, prefer the one in the job names, then the first one.
    for name in sorted(able, key=lambda name: (-len(values_of(rows, name)), not _is_in_names(rows, name))):
        if not any(is_decided(rows, name, factor) for factor in factors):
            factors.append(name)
    factors = [name for name in names if name in factors]
    others = [name for name in names if name not in factors]
    derived = {
        name: next(factor for factor in factors if is_decided(rows, name, factor))
        for name in others
        if any(is_decided(rows, name, factor) for factor in factors)
    }
    return Grid(
        factors={name: [each for each in values_of(rows, name) if each is not None] for name in factors},
        rows=_one_per_cell(rows, factors),
        derived=derived,
        loose=[name for name in others if name not in derived],
    )


def _without_labels(rows: Sequence[Row], names: list[str]) -> list[str]:
    """Leave out variables with a different value in every job (a run id), if the rest is enough."""
    labels = [name for name in names if len(values_of(rows, name)) == len(rows)]
    rest = [name for name in names if name not in labels]
    cells = [tuple(row.values.get(name) for name in rest) for row in rows]
    retries = {(cell, row.job.name) for cell, row in zip(cells, rows, strict=True)}
    return rest if len(rest) > 1 and len(set(cells)) == len(retries) else names


def _is_in_names(rows: Sequence[Row], variable: str) -> bool:
    return all((row.values.get(variable) or "") in row.job.name for row in rows)


def _one_per_cell(rows: Sequence[Row], factors: Sequence[str]) -> list[Row]:
    """Keep the newest job of each cell: a retry may have a different run id."""
    newest = {tuple(row.values.get(name) for name in factors): row for row in rows}
    return sorted(newest.values(), key=lambda row: row.job.order())


def _rarest_level(grid: Grid) -> tuple[str, str] | None:
    """Return the level with the smallest share of its cells; None if the grid is full or no level is rare."""
    if len(grid.rows) == grid.cell_count:
        return None
    shares = {
        (variable, level): sum(row.values.get(variable) == level for row in grid.rows)
        * len(levels)
        / grid.cell_count
        for variable, levels in grid.factors.items()
        if len(levels) > 1
        for level in levels
    }
    rarest = min(shares, key=lambda key: shares[key], default=None)
    return rarest if rarest is not None and shares[rarest] <= MAX_SUPPORT else None
