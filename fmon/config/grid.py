"""Expand a design into its conditions: every cell of the grid once, then the baselines."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2s
from itertools import product
from typing import Any

from fmon.config.design import Cell, Design, optional_texts
from fmon.config.source import Source
from fmon.model import Condition, Kind, Level, level_text
from fmon.written import plain


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A condition before its id is known to be unique."""

    kind: Kind
    factors: dict[str, Level]
    text: str
    job_name: str | None
    minutes: float | None
    resources: dict[str, Any]
    envs: dict[str, str | None]


def expand(source: Source, design: Design) -> list[Condition]:
    """Expand a design into its conditions.

    Parameters
    ----------
    source
        The config, for line numbers in errors.
    design
        Its checked design.

    Raises
    ------
    ConfigError
        No cell is left, or two conditions have the same job name.
    """
    grid = list(_grid(design))
    if not grid:
        message = "exclude leaves no cell of the grid; remove an entry"
        raise source.fault(message, "exclude")
    conditions = _with_ids([*grid, *_baselines(design)])
    _check_names(source, conditions, has_template=design.template is not None)
    return conditions


def _grid(design: Design) -> Iterator[_Draft]:
    """Yield the cells of the grid; the last factor varies fastest."""
    names = list(design.grid)
    for combination in product(*design.grid.values()):
        if any(
            tuple(combination[at].number for at in found.positions) in found.combinations
            for found in design.exclude
        ):
            continue
        yield _draft(design, "grid", dict(zip(names, combination, strict=True)))


def _baselines(design: Design) -> Iterator[_Draft]:
    """Yield the baselines; one that lacks a factor of the template uses its own job name or its id."""
    for baseline in design.baselines:
        draft = _draft(design, "baseline", baseline.cells)
        yield replace(
            draft,
            job_name=baseline.own.job_name or draft.job_name,
            resources=_set_only({**draft.resources, **plain(baseline.own.resources)}),
            envs={**draft.envs, **optional_texts(baseline.own.envs)},
        )


def _draft(design: Design, kind: Kind, cells: dict[str, Cell]) -> _Draft:
    minutes = [cell.minutes for cell in cells.values() if cell.minutes is not None]
    return _Draft(
        kind=kind,
        factors={factor: cell.level for factor, cell in cells.items()},
        text="-".join([cell.text for cell in cells.values()]),
        job_name=_job_name(design.template, cells),
        # If several levels set a time, use the longest: a late alarm is better than a false one.
        minutes=max(minutes) if minutes else design.minutes,
        resources=_joined(cell.resources for cell in cells.values()),
        envs=_joined(cell.envs for cell in cells.values()),
    )


def _job_name(template: list[tuple[str, str]] | None, cells: Mapping[str, Cell]) -> str | None:
    """Fill the template; None if there is none or the cell lacks one of its factors."""
    if template is None or any(factor and factor not in cells for _, factor in template):
        return None
    return "".join([before + (cells[factor].text if factor else "") for before, factor in template])


def _set_only(resources: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a baseline unsets."""
    return {key: value for key, value in resources.items() if value is not None}


_NOTHING: dict[str, Any] = {}


def _joined(overrides: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """Merge the overrides of all levels; those of later factors take precedence."""
    changes = [change for change in overrides if change]
    if len(changes) <= 1:
        return changes[0] if changes else _NOTHING
    return {key: value for change in changes for key, value in change.items()}


def _with_ids(drafts: list[_Draft]) -> list[Condition]:
    """Assign the ids; to ids that would collide, a hash of the levels is appended."""
    count = Counter(draft.text for draft in drafts)
    conditions = []
    for draft in drafts:
        condition_id = draft.text if count[draft.text] == 1 else f"{draft.text}-{_hash(draft)}"
        conditions.append(
            Condition(
                condition_id=condition_id,
                kind=draft.kind,
                factors=draft.factors,
                job_name=draft.job_name or condition_id,
                expected_minutes=draft.minutes,
                resources=draft.resources,
                envs=draft.envs,
            )
        )
    return conditions


def _hash(draft: _Draft) -> str:
    text = json.dumps([draft.kind, draft.factors, draft.job_name])
    return blake2s(text.encode(), digest_size=3).hexdigest()


def _check_names(source: Source, conditions: list[Condition], *, has_template: bool) -> None:
    """Refuse two conditions with the same job name: their jobs could not be distinguished."""
    owner: dict[str, Condition] = {}
    for condition in conditions:
        first = owner.setdefault(condition.job_name, condition)
        if first is condition:
            continue
        message = (
            f"conditions {_described(first)} and {_described(condition)} would both have the job name "
            f"{condition.job_name!r}; add the factors that differ to job_name"
        )
        raise source.fault(message, "job_name" if has_template else "baselines")


def _described(condition: Condition) -> str:
    levels = ", ".join(f"{factor}={level_text(level)}" for factor, level in condition.factors.items())
    return f"{condition.condition_id} ({levels})"
