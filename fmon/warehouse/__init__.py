"""The stores as DuckDB views, in memory.

Reads manifests and logs with ``fmon.store`` and creates the views of ``sql/`` over them; writes nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmon.manifest.stored import StoredExperiment
from fmon.store.folder import find
from fmon.warehouse.dictionary import dictionary
from fmon.warehouse.export import export
from fmon.warehouse.load import Loaded, fill, read_all, read_one
from fmon.warehouse.result import column, grouped_rows, query_rows, rows, typed_rows
from fmon.warehouse.views import (
    COMPUTED,
    VIEWS,
    closure,
    make_views,
    open_empty,
    read_twice,
    relations_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    import duckdb

__all__ = [
    "VIEWS",
    "column",
    "connect",
    "dictionary",
    "export",
    "grouped_rows",
    "open_views",
    "query_rows",
    "rows",
    "typed_rows",
]


def connect(
    data: Path | str = "data",
    experiment: str | None = None,
    *,
    now: datetime | None = None,
    queries: Iterable[str] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the views over the stores of a data directory.

    The current content of the stores is read into memory: all queries of a connection are consistent, even if
    fmon polls or compacts in the meantime. Connect again to see newer polls.

    Parameters
    ----------
    data
        Data directory.
    experiment
        Its id or a unique prefix; None = all experiments.
    now
        The current time for open jobs [UTC]; None = the system clock.
    queries
        The queries to run: only the views that they need are created, without comments, if DuckDB's parser
        can determine them; None = all views, with their comments.

    Returns
    -------
    duckdb.DuckDBPyConnection
        In memory, time zone UTC; the first column of every view is experiment_id.

    Raises
    ------
    ConfigError
        There is no such experiment.
    ManifestError
        The manifest of the experiment can't be used. With all experiments, one with a broken manifest or
        log is left out with a warning.
    StoreError
        The log of the experiment is damaged.

    Examples
    --------
    >>> con = connect("data")  # doctest: +SKIP
    >>> con.sql("select state, count(*) from condition group by all")  # doctest: +SKIP
    """
    if experiment is None:
        return _open(partial(read_all, data=data), now=now, queries=queries)
    return open_views(StoredExperiment(find(data, experiment)), now=now, queries=queries)


def open_views(
    stored: StoredExperiment, *, now: datetime | None = None, queries: Iterable[str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the views over one experiment; reuse its manifest and events if they are already read.

    Parameters
    ----------
    stored
        The experiment.
    now, queries
        As in ``connect``.
    """
    return _open(partial(read_one, stored=stored), now=now, queries=queries)


def _open(
    read: Callable[[frozenset[str]], list[Loaded]], *, now: datetime | None, queries: Iterable[str] | None
) -> duckdb.DuckDBPyConnection:
    con = open_empty()
    try:
        counts = None if queries is None else relations_in(con, queries)
        needed = closure(VIEWS if counts is None else counts)
        fill(con, read, now=now, sources=needed.sources)
        computed = COMPUTED if counts is None else read_twice(counts)
        make_views(con, needed.views, computed=computed, commented=counts is None)
    except BaseException:
        con.close()
        raise
    return con
