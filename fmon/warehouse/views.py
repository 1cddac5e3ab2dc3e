"""The views of ``sql/`` and the source relations they read: which, in what order, and how to make them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from fmon.errors import ConfigError
from fmon.schema import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEWS = (
    "status",
    "experiment",
    "poll",
    "job_observation",
    "transition",
    "job_absence",
    "machine_time",
    "job",
    "condition",
    "condition_level",
    "coverage",
    "coverage_matrix",
    "longest_run",
    "kill_switch",
    "action_history",
    "alarm_episode",
    "alarm",
    "cycle_cost",
    "experiment_summary",
    "fisher",
    "attempt_result",
    "attempt_result_level",
    "cause_matrix",
    "failure",
    "cause",
    "cause_cycle",
    "failure_cluster",
    "cause_level_association",
    "suspect",
    "relaunch_candidate",
    "audit",
    "matched_condition",
    "state_change",
    "matched_summary",
    "coverage_change",
    "cause_change",
    "suspect_change",
    "issue",
    "run",
    "run_metric",
)
"""Names of the files in ``sql/``; each reads only sources and what stands before it."""

COMPUTED = frozenset({"job_observation", "job", "condition", "failure"})
"""What most others come down to: DuckDB writes a view out wherever it is read, and would plan ``audit`` as
4,500 operators instead of 200. In a connection these are tables, computed once (docs/decisions/0023)."""

READS = re.compile(r"\b(?:from|join)\s+(\w+)")
WORD = re.compile(r"\w+")
CATALOG = re.compile(r"duckdb_|information_schema|pg_catalog|pragma", re.IGNORECASE)
COMMENT = re.compile(r"--.*")
AS_VIEW = re.compile(r"^(create or replace|comment on) view\b", re.MULTILINE)


class Closure(NamedTuple):
    """What some views need: views in the order of ``VIEWS``, and sources."""

    views: tuple[str, ...]
    sources: frozenset[str]


@cache
def text(view: str) -> str:
    """Read the SQL of a view."""
    return files("fmon.sql").joinpath(f"{view}.sql").read_text(encoding="utf-8")


def made_and_commented(view: str) -> tuple[str, str]:
    """Part the SQL of a view into what makes it and the comments on it."""
    made, mark, comments = text(view).partition("comment on ")
    return made, mark + comments


@cache
def reads(view: str) -> frozenset[str]:
    """Find the views and sources that a view reads: what stands behind its from and join."""
    made, _ = made_and_commented(view)
    found = set(READS.findall(COMMENT.sub("", made)))
    return frozenset(found & {*VIEWS[: VIEWS.index(view)], *SOURCES})


def closure(views: Iterable[str]) -> Closure:
    """Find everything that the given views need, themselves included.

    Raises
    ------
    ConfigError
        One of them does not exist.
    """
    needed = set(views)
    if unknown := sorted(needed - {*VIEWS}):
        message = f"no view {unknown[0]!r}; there are: {', '.join(VIEWS)}"
        raise ConfigError(message)
    for view in reversed(VIEWS):
        if view in needed:
            needed |= reads(view)
    return Closure(tuple(view for view in VIEWS if view in needed), frozenset(needed & SOURCES.keys()))


def named_in(query: str) -> list[str] | None:
    """Find the views that a query names; None where it may mean any: it names none, a source, the catalog."""
    words = {word.lower() for word in WORD.findall(query)}
    named = [view for view in VIEWS if view in words]
    return None if not named or words & SOURCES.keys() or CATALOG.search(query) else named


def open_empty() -> duckdb.DuckDBPyConnection:
    """Open an in-memory database in UTC with the source relations as empty tables.

    The views work on them as they are, so no store has to have polls.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
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
    """Run the files of ``sql/``; may be repeated.

    Parameters
    ----------
    con : has the source relations
    views : in the order of ``VIEWS``
    computed : of them, those to make as tables with what the source relations hold by now; not repeatable
    commented : with the comments, which cost a fifth of it all
    """
    for view in views:
        made, comments = made_and_commented(view)
        sql = made + comments if commented else made
        con.execute(AS_VIEW.sub(r"\1 table", sql) if view in computed else sql)
