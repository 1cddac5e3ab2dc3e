"""Factors from the parts of job names, for jobs without recorded variables."""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING

from fmon.init.factors import Row, find_grid
from fmon.init.grouping import parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.init.jobs import QueuedJob


def rows_of_names(jobs: Sequence[QueuedJob]) -> list[Row]:
    """Return the parts of the job names as variables: ``calibtrue-f0`` has CALIB=true and F=0.

    Parameters
    ----------
    jobs
        Jobs whose names have the same number of parts; those outside the grid may lack a variable.
    """
    raw = [Row(job=job, values={str(at): part for at, part in enumerate(parts_of(job.name))}) for job in jobs]
    grid = find_grid(raw, is_level=bool)
    names: dict[str, tuple[str, str]] = {}
    letters = iter(ascii_uppercase)
    for at in sorted(raw[0].values, key=lambda at: (at not in grid.factors, int(at))):
        stem = _stem([row.values[at] for row in grid.rows])
        word = stem.strip("_").upper()
        is_word = len(word) > 1 and word not in {name for name, _ in names.values()}
        names[at] = (word if is_word else next(letters, f"PART_{at}"), stem)
    return [
        Row(
            job=row.job,
            values={
                name: row.values[at].removeprefix(stem)
                for at, (name, stem) in names.items()
                if row.values[at].startswith(stem)
            },
        )
        for row in raw
    ]


def _stem(parts: Sequence[str]) -> str:
    """Return the letters that all parts begin with, if numbers or true and false follow."""
    found = [re.fullmatch(r"([A-Za-z_]*?)(-?[0-9][0-9.]*|true|false|True|False)", part) for part in parts]
    stems = {each[1] if each else None for each in found}
    return next(iter(stems)) or "" if len(stems) == 1 else ""
