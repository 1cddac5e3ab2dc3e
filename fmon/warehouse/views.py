"""Create the views of ``sql/`` and the source relations that they read, in the right order."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from fmon.schema import SOURCES
from fmon.sky.status import STATUSES
from fmon.warehouse.reads import READS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VIEWS = (
    "status",
    "experiment",
    "newest_cycle",
    "poll",
    "newest_poll",
    "poll_summary",
    "poll_error",
    "effective_status",
    "job_observation",
    "ending_change",
    "flapping",
    "transition",
    "job_absence",
    "impossible_time",
    "machine_spell",
    "machine_time",
    "job",
    "cost_breakdown",
    "provisioning",
    "timeline",
    "timeline_density",
    "attempt_span",
    "billable_job",
    "cost_estimate",
    "condition",
    "lost_job",
    "failure_reason",
    "condition_level",
    "eta",
    "coverage",
    "coverage_matrix",
    "longest_run",
    "known_job",
    "job_error",
    "kill_switch",
    "action_history",
    "alarm_episode",
    "raised_alarm",
    "alarm",
    "alarm_count",
    "cycle_cost",
    "cost_reconciliation",
    "experiment_summary",
    "fisher",
    "attempt_result",
    "attempt_result_level",
    "cause_matrix",
    "failure",
    "cause",
    "failure_summary",
    "cause_cycle",
    "failure_cluster",
    "cause_level_association",
    "suspect",
    "bystander",
    "relaunch_candidate",
    "audit",
    "matched_condition",
    "condition_overlap",
    "state_change",
    "matched_summary",
    "coverage_change",
    "cause_change",
    "suspect_change",
    "issue",
    "run",
    "run_metric",
)
"""Names of the files in ``sql/``; each view reads only sources and earlier views."""

COMPUTED = frozenset({"job_observation", "job", "condition", "failure"})
"""Views that most others read: created as tables if the queries are unknown; see ``read_twice``."""

AS_VIEW = re.compile(r"^(create or replace|comment on) view\b", re.MULTILINE)


PARSED = """
select
    cast(parsed ->> '$.error' as boolean),
    parsed ->> '$..table_name',
    parsed ->> '$..function_name',
    parsed ->> '$..cte_map.map[*].key'
from (select json_serialize_sql(query) as parsed from (select unnest($queries) as query))
"""
"""DuckDB's parser does not bind names, so the views need not exist. It accepts only selects."""

MADE = re.compile(
    r"\bcreate (or replace )?(temp )?(view|table|macro) (?P<name>\w+)(\([^)]*\))? as( table)?\s"
)
"""The beginning of a statement that creates a view, table or macro from a select."""

UNSURE = ("duckdb_", "pragma_", "query")
"""Prefixes of functions that may read any view: DuckDB's catalog, and those that take a query as text."""


MACRO = re.compile(r"^create or replace macro\b", re.MULTILINE)


class Closure(NamedTuple):
    """Everything that some views need: views in the order of ``VIEWS``, and sources."""

    views: tuple[str, ...]
    sources: frozenset[str]


@cache
def text(view: str) -> str:
    """Return the SQL of a view."""
    return files("fmon.sql").joinpath(f"{view}.sql").read_text(encoding="utf-8")


def made_and_commented(view: str) -> tuple[str, str]:
    """Split the SQL of a view into the statement that creates it and its comments."""
    made, mark, comments = text(view).partition("comment on ")
    return made, mark + comments


def closure(relations: Iterable[str]) -> Closure:
    """Return everything that some views and sources need, including themselves."""
    needed = set(relations)
    for view in reversed(VIEWS):
        if view in needed:
            needed.update(READS[view])
    return Closure(tuple(view for view in VIEWS if view in needed), frozenset(needed & SOURCES.keys()))


def read_twice(counts: Mapping[str, int]) -> frozenset[str]:
    """Return the views that would be run more than once, and so are better computed once, as tables.

    DuckDB expands a view wherever it is read, and would plan ``audit`` as 4,500 operators instead of 200
    (docs/decisions/0023). A view that is read once gains nothing from being a table, and may lose a filter.

    Parameters
    ----------
    counts
        How often the queries read each view.
    """
    runs = Counter(counts)
    tables = set()
    for view in reversed(VIEWS):
        if runs[view] > 1 and not MACRO.search(text(view)):
            tables.add(view)
            runs[view] = 1
        for read in READS[view]:
            runs[read] += runs[view]
    return frozenset(tables)


def relations_in(con: duckdb.DuckDBPyConnection, queries: Iterable[str]) -> Counter[str] | None:
    """Count how often some queries read each view and source.

    Parameters
    ----------
    con
        Any connection.
    queries
        Selects, or statements that create a view, table or macro from one.

    Returns
    -------
    Counter or None
        None if it is unknown: a query is not a select, or reads a catalog or an unknown relation.
    """
    queries = list(queries)
    made = {begin["name"] for query in queries if (begin := MADE.search(query))}
    known = {*VIEWS, *SOURCES, "known_status"}
    found: Counter[str] = Counter()
    selects = [MADE.sub("", query, count=1).rstrip("; \n") for query in queries]
    for is_refused, tables, functions, ctes in con.execute(PARSED, {"queries": selects}).fetchall():
        read = [name.lower() for name in tables]
        if is_refused or {*read} - known - made - {name.lower() for name in ctes}:
            return None
        if any(name.startswith(UNSURE) for name in functions):
            return None
        found.update(name for name in (*read, *functions) if name in known)
    return found


def open_empty() -> duckdb.DuckDBPyConnection:
    """Open an in-memory database in UTC with the known statuses and with empty source relations.

    The views work on empty tables, so no store needs to have polls.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    known = [status._asdict() for status in STATUSES]
    con.execute("create table known_status as select unnest($known, recursive := true)", {"known": known})
    for name, columns in SOURCES.items():
        listed = ", ".join(f"{column.name} {column.type}" for column in columns)
        con.execute(f"create table {name} ({listed})")
    return con


def make_views(
    con: duckdb.DuckDBPyConnection,
    views: Iterable[str] = VIEWS,
    *,
    computed: frozenset[str] = frozenset(),
    commented: bool = True,
) -> None:
    """Create views by running the files of ``sql/``; may be repeated.

    Parameters
    ----------
    con
        A connection with the source relations.
    views
        The views, in the order of ``VIEWS``.
    computed
        Those to create as tables, from the current rows of the source relations; not repeatable.
    commented
        Whether to add the comments, which take a fifth of the time.
    """
    for view in views:
        made, comments = made_and_commented(view)
        sql = made + comments if commented else made
        con.execute(AS_VIEW.sub(r"\1 table", sql) if view in computed else sql)


def recompute(con: duckdb.DuckDBPyConnection, changed: Iterable[str]) -> None:
    """Recompute the tables that read sources whose rows have changed.

    Parameters
    ----------
    con
        The connection that ``connect`` returned.
    changed
        The sources with changed rows.
    """
    tables = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    stale = {*changed}
    for view in VIEWS:
        if not stale.isdisjoint(READS[view]):
            stale.add(view)
            if view in tables:
                make_views(con, [view], computed=frozenset({view}), commented=False)
