"""Load the files of stores into the source relations of ``fmon/schema.py``."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from fmon.errors import FmonError
from fmon.job_key import job_id_of
from fmon.manifest.stored import StoredExperiment
from fmon.model import envs_of, value_text
from fmon.schema import HEARTBEAT, SNAPSHOT, SOURCES
from fmon.store import variable_checks
from fmon.store.arrow import TYPES, read_log_file
from fmon.store.findings import read_table
from fmon.store.folder import find, stores
from fmon.store.reading import steadily
from fmon.store.runs import read_runs
from fmon.text import json_text
from fmon.warehouse.audit import RELATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import duckdb

    from fmon.events import Event
    from fmon.model import Manifest
    from fmon.store.folder import Store

ARROW = {
    **TYPES,
    "map(varchar, varchar)": pa.map_(pa.string(), pa.string()),
}
LOGS = {"heartbeat": HEARTBEAT, "snapshot": SNAPSHOT}
IS_JOB = {"heartbeat": ["job_id"], "snapshot": []}
"""Additional columns that are needed to select the rows of a relation."""
WORDS = tuple(column.name for column in HEARTBEAT if column.type == "varchar")

Values = tuple[Any, ...]


class Loaded(NamedTuple):
    """Content of one store: manifest, events, and log by relation, with one table per file."""

    stored: StoredExperiment
    manifest: Manifest
    events: list[Event]
    log: dict[str, list[pa.Table]]


def fill(
    con: duckdb.DuckDBPyConnection,
    read: Callable[[frozenset[str]], list[Loaded]],
    *,
    now: datetime | None,
    sources: frozenset[str],
) -> None:
    """Fill the source relations.

    Parameters
    ----------
    con
        A connection with the empty tables.
    read
        Reads the experiments, given the relations that are needed.
    now
        As in ``connect``.
    sources
        The relations that are needed; no other columns of the log are read.
    """
    loaded = read(sources)
    manifests = [item.manifest for item in loaded]
    bind(con, "clock", [(now or datetime.now(UTC),)])
    bind(con, "manifest", map(_manifest_row, manifests))
    bind(con, "entry", (row for manifest in manifests for row in _entry_rows(manifest)))
    bind(con, "attempt", (row for manifest in manifests for row in _attempt_rows(manifest)))
    bind(con, "factor_level", (row for manifest in manifests for row in _factor_level_rows(manifest)))
    bind_reported(con, manifests)
    if "entry_env" in sources:
        bind(con, "entry_env", (row for manifest in manifests for row in _env_rows(manifest)))
    for source in sources & RELATIONS.keys():
        relation = RELATIONS[source]
        bind(
            con,
            source,
            (row for item in loaded for row in relation(item.manifest.experiment_id, item.events)),
        )
    if "finding" in sources:
        _bind_findings(con, [item.stored.store for item in loaded])
    if "variable_check" in sources:
        _bind_variable_checks(con, [item.stored.store for item in loaded])
    if "tracked_run" in sources:
        bind_runs(con, [item.stored.store for item in loaded])
    for source in sources & LOGS.keys():
        tables = [table for item in loaded for table in item.log[source]]
        if tables:
            _bind_log(con, source, pa.concat_tables(tables))


def bind(con: duckdb.DuckDBPyConnection, source: str, rows: Iterable[Values]) -> None:
    """Insert rows into a source relation; their values are in the order of its columns."""
    rows = list(rows)
    if not rows:
        return  # most sources of a young experiment are empty, and each insert takes a millisecond
    schema = pa.schema([(column.name, ARROW[column.type]) for column in SOURCES[source]])
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    con.from_arrow(pa.Table.from_arrays(arrays, schema=schema)).insert_into(source)


def bind_reported(con: duckdb.DuckDBPyConnection, manifests: Iterable[Manifest]) -> None:
    """Replace the rows of ``reported_cost`` by those of the manifests."""
    con.execute("delete from reported_cost")
    bind(con, "reported_cost", (row for manifest in manifests for row in _reported_rows(manifest)))


def read_all(sources: frozenset[str], *, data: Path | str) -> list[Loaded]:
    """Read every store; leave out those that can't be read, with a warning."""
    found = stores(data) or [find(data)]  # find raises an error with a hint if there is none
    loaded, faults = [], []
    for store in found:
        try:
            loaded += read_one(sources, stored=StoredExperiment(store))
        except FmonError as fault:
            faults.append(fault)
    if not loaded:
        raise faults[0]
    for left_out in faults:
        warnings.warn(f"an experiment is left out: {left_out}", stacklevel=5)
    return loaded


def read_one(sources: frozenset[str], *, stored: StoredExperiment) -> list[Loaded]:
    """Read one experiment; reuse its manifest if it is already read."""
    manifest = stored.manifest
    needed = [source for source in LOGS if source in sources]
    log = steadily(stored.store, partial(_read_log, needed=needed)) if needed else {}
    return [Loaded(stored, manifest, stored.events if sources & RELATIONS.keys() else [], log)]


def _read_log(paths: Iterable[Path], *, needed: list[str]) -> dict[str, list[pa.Table]]:
    """Read the needed relations, all from the same files."""
    log: dict[str, list[pa.Table]] = {source: [] for source in needed}
    for path in paths:
        for source, tables in log.items():
            names = [*(column.name for column in LOGS[source]), *IS_JOB[source]]
            coded = WORDS if source == "heartbeat" else ()
            tables.append(read_log_file(path, names, kind=source, coded=coded))
    return log


def _bind_log(con: duckdb.DuckDBPyConnection, source: str, log: pa.Table) -> None:
    """Insert the rows of one relation; small files contain both kinds, and a heartbeat has no job_id."""
    kind = "job_id is null" if source == "heartbeat" else "job_id is not null"
    names = ", ".join(column.name for column in LOGS[source])
    con.from_arrow(log).filter(kind).project(names).insert_into(source)


def _bind_findings(con: duckdb.DuckDBPyConnection, found: Iterable[Store]) -> None:
    """Insert the findings; only warn about a file that can't be used, since it can be recreated."""
    for store in found:
        table = read_table(store.findings)
        if table is not None:
            con.from_arrow(table).insert_into("finding")
        elif store.findings.exists():
            warnings.warn(
                f"{store.findings} is damaged or written by another fmon version, its causes are left out; "
                "to recreate it, run fmon adopt with the experiment's config, then fmon poll",
                stacklevel=5,
            )


def _bind_variable_checks(con: duckdb.DuckDBPyConnection, found: Iterable[Store]) -> None:
    """Insert the comparisons of variables; only warn about a file that can't be used."""
    for store in found:
        table = variable_checks.read_table(store.variables)
        if table is not None:
            con.from_arrow(table).insert_into("variable_check")
        elif store.variables.exists():
            warnings.warn(
                f"{store.variables} is damaged or written by another fmon version, alarms of kind "
                "wrong_variables are left out; to recreate it, run fmon adopt with the experiment's config, "
                "then fmon poll",
                stacklevel=5,
            )


def bind_runs(con: duckdb.DuckDBPyConnection, found: Iterable[Store]) -> None:
    """Replace the rows of ``tracked_run`` by those in the stores."""
    con.execute("delete from tracked_run")
    for store in found:
        table = read_runs(store)
        if table is not None:
            con.from_arrow(table).insert_into("tracked_run")


def _manifest_row(manifest: Manifest) -> Values:
    limits = manifest.limits
    return (
        manifest.experiment_id,
        manifest.experiment_name,
        manifest.config_file,
        manifest.is_replay,
        manifest.current_cycle,
        manifest.max_relaunch_cycles,
        limits.budget_usd,
        manifest.controller_usd_per_h,
        limits.pending_minutes * 60,
        limits.starting_minutes * 60,
        limits.overrun_factor,
        limits.flapping,
        manifest.created_at,
    )


def _entry_rows(manifest: Manifest) -> Iterator[Values]:
    for number, entry in enumerate(manifest.jobs):
        minutes = entry.expected_minutes
        yield (
            manifest.experiment_id,
            entry.condition,
            entry.kind,
            [(factor, value_text(level)) for factor, level in entry.factors.items()],
            json_text(entry.factors),
            entry.job_name,
            number,
            None if minutes is None else minutes * 60,
        )


def _env_rows(manifest: Manifest) -> Iterator[Values]:
    for entry in manifest.jobs:
        yield manifest.experiment_id, entry.condition, list(envs_of(manifest, entry).items())


def _attempt_rows(manifest: Manifest) -> Iterator[Values]:
    for entry in manifest.jobs:
        for attempt in entry.attempts:
            yield (
                manifest.experiment_id,
                entry.condition,
                attempt.cycle,
                attempt.job_id,
                attempt.job_key,
                attempt.role,
            )
        if entry.job_id is not None:
            cycle = entry.relaunch_batch
            yield manifest.experiment_id, entry.condition, cycle, entry.job_id, entry.job_key, "attempt"


def _factor_level_rows(manifest: Manifest) -> Iterator[Values]:
    for factor_number, (factor, levels) in enumerate(manifest.factors.items()):
        # 1 and "1" are one level in SQL, which knows levels as text.
        texts = dict.fromkeys(value_text(level) for level in levels)
        for level_number, level in enumerate(texts):
            yield manifest.experiment_id, factor, level, factor_number, level_number


def _reported_rows(manifest: Manifest) -> Iterator[Values]:
    for key, usd in manifest.reported_costs.items():
        yield manifest.experiment_id, job_id_of(int(key)), int(key), usd, manifest.reported_as_of
