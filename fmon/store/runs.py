"""``runs.parquet``: the MLflow runs of an experiment's jobs.

Each report that reaches MLflow replaces the file; later reports and views need no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmon.schema import TRACKED_RUN
from fmon.store.arrow import TYPES, parquet, table_of
from fmon.store.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmon.store.folder import Store

    Run = dict[str, Any]

SCHEMA = pa.schema([(column.name, TYPES[column.type]) for column in TRACKED_RUN])


def write_runs(store: Store, runs: Sequence[Run]) -> None:
    """Replace the stored runs durably.

    Parameters
    ----------
    store
        The experiment.
    runs
        With the columns of ``schema.TRACKED_RUN`` except experiment_id; metrics is a dict.

    Raises
    ------
    StoreError
        They can't be written; the old ones are unchanged.
    """
    columns = {name: [run.get(name) for run in runs] for name in SCHEMA.names}
    columns["experiment_id"] = [store.experiment_id] * len(runs)
    columns["metrics"] = [list(run["metrics"].items()) for run in runs]
    write_durably(store.runs, parquet(table_of(columns, SCHEMA), options={"compression": "zstd"}))


def read_runs(store: Store) -> pa.Table | None:
    """Read the runs; None if there are none or they can't be read: the next report asks MLflow again."""
    try:
        file = pq.ParquetFile(store.runs, page_checksum_verification=True)
        return file.read(use_threads=False).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
