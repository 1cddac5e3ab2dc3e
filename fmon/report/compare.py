"""Compare: the changes from one experiment to the next.

Reads the views of all experiments in the data directory: an error is new only if no older one had it.
Writes the page if one is requested, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.report import compare_queries as queries
from fmon.report.comparison import Change
from fmon.report.page.comparison import render
from fmon.store.durable import write_durably
from fmon.store.folder import find
from fmon.warehouse import column, connect, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from fmon.warehouse.result import Row

MAX_IN_A_NAME = 2
"""Experiments in the name of a page; of more the first, the last and their number: names have 255 bytes."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What changed from each experiment to the next, and the page that shows it."""

    changes: list[Change]
    html: Path | None

    def objects(self) -> list[Row]:
        """Return what ``-o json`` prints: one object per pair of experiments."""
        return [change.row() for change in self.changes]


def compare(
    data: Path, experiments: Sequence[str], *, out: Path | None = None, now: datetime | None = None
) -> Compared:
    """Compare experiments, each with the one named before it.

    Parameters
    ----------
    data
        Data directory.
    experiments
        Ids or unique prefixes, two or more, the older ones first.
    out
        Directory for the page; None = no page.
    now
        Time up to which open jobs are measured [UTC]; None = the wall clock.

    Returns
    -------
    Compared
        Conditions are matched by the levels of the factors that both have (macro ``matched_condition``).

    Raises
    ------
    ConfigError
        There are fewer than two experiments, the same one twice, or one that does not exist.
    ManifestError, StoreError
        The files of one of them can't be used.
    """
    ids = _ids(data, experiments)
    con = _connect(data, ids, now=now)
    found = [_change(con, before, after) for before, after in pairwise(ids)]
    if out is None:
        return Compared(changes=found, html=None)
    html = out / f"{_name(ids)}.html"
    write_durably(html, render(found).encode())
    return Compared(changes=found, html=html)


def _ids(data: Path, experiments: Sequence[str]) -> list[str]:
    ids = [find(data, name).experiment_id for name in experiments]
    if len(ids) < 2:
        raise ConfigError("fmon compare needs two or more experiments, the older one first")
    if repeated := next((name for name in ids if ids.count(name) > 1), None):
        raise ConfigError(f"{repeated} can't be compared with itself; name each experiment once")
    return ids


def _connect(data: Path, ids: list[str], *, now: datetime | None) -> duckdb.DuckDBPyConnection:
    """Bind all experiments; a broken one that was left out is an error only if it is compared."""
    con = connect(data, now=now, queries=queries.QUERIES)
    bound = set(column(con, "select experiment_id from experiment"))
    for left_out in set(ids) - bound:
        connect(data, left_out, queries=queries.QUERIES)  # raises the error
    return con


def _change(con: duckdb.DuckDBPyConnection, before: str, after: str) -> Change:
    pair = {"before": before, "after": after}
    return Change(
        before_experiment_id=before,
        experiment_id=after,
        conditions=rows(con, queries.CONDITIONS, pair)[0],
        experiment_summary=rows(con, queries.SUMMARY, pair),
        matched_summary=rows(con, queries.MATCHED_SUMMARY, pair),
        coverage=rows(con, queries.COVERAGE, pair),
        causes=rows(con, queries.CAUSES, pair),
        suspects=rows(con, queries.SUSPECTS, pair),
        state_changes=rows(con, queries.STATE_CHANGES, pair),
        outside=rows(con, queries.OUTSIDE, pair),
    )


def _name(ids: list[str]) -> str:
    ends = [ids[0], ids[-1]]
    return "_".join(["compare", *ends, *([str(len(ids))] if len(ids) > MAX_IN_A_NAME else [])])
