"""The stores as DuckDB views, in memory.

Reads manifests and logs through ``fmon.store``, makes the views of ``sql/`` over them; writes nothing.
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
    """Open the views over the stores of a folder.

    What the stores hold at this moment is read into memory: all queries of one connection agree with each
    other, whatever is polled or compacted meanwhile. Connect again to see newer polls.

    Parameters
    ----------
    data
        Data directory.
    experiment
        Its id or a unique prefix; None = all experiments.
    now
        The clock that open jobs are measured by [UTC]; None = the wall clock.
    queries
        What will be asked: only the views that this needs are made, and without comments, where DuckDB's
        parser can tell; None = all views, with their comments.

    Returns
    -------
    duckdb.DuckDBPyConnection
        In memory, time zone UTC; every view begins with experiment_id.

    Raises
    ------
    ConfigError
        There is no such experiment.
    ManifestError
        The manifest of the experiment asked for can't be used. Where all are asked for, an experiment with
        a broken manifest or log is left out with a warning.
    StoreError
        The log of the experiment asked for is damaged.

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
    """Open the views over one experiment, whose manifest and events may have been read already.

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
        asked = None if queries is None else relations_in(con, queries)
        wanted = closure(VIEWS if asked is None else asked)
        fill(con, read, now=now, sources=wanted.sources)
        computed = COMPUTED if asked is None else read_twice(asked)
        make_views(con, wanted.views, computed=computed, commented=asked is None)
    except BaseException:
        con.close()
        raise
    return con
