"""Read the given/expect cases of tests/views/*.md and load what they give into the source relations.

A given row names only the columns that matter: ids are filled with constants, polls are a minute apart,
the rest is null. An empty cell is null. A time without a date is of 2026-01-01 UTC.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from fmon.schema import SOURCES
from fmon.warehouse.load import bind
from fmon.warehouse.views import open_empty

FOLDER = Path(__file__).parents[1] / "views"
Row = dict[str, Any]
Sources = dict[str, list[Row]]

DEFAULTS: dict[str, Row] = {
    "clock": {"now": "12:00"},
    "manifest": {
        "experiment_name": "e",
        "config_file": "e.yaml",
        "is_replayed": "false",
        "current_cycle": "0",
        "max_relaunch_cycles": "2",
        "pending_threshold_s": "1800",
        "starting_threshold_s": "600",
        "overrun_factor": "3",
        "flapping_threshold": "5",
        "created_at": "00:00",
    },
    "entry": {"condition_id": "c", "kind": "grid", "factors": "", "expected_s": ""},
    "attempt": {"condition_id": "c", "cycle": "0", "job_id": "1", "role": "attempt"},
    "factor_level": {},
    "reported_cost": {"reported_at": "11:30"},
    "heartbeat": {"source": "sky", "is_ok": "true", "latency_s": "1"},
    "finding": {"job_id": "1", "task_id": "0", "log_state": "stored"},
    "variable_check": {"job_id": "1", "poll_id": "1"},
    "firing": {"trigger": "identical_errors", "cycle": "0"},
    "entry_env": {"condition_id": "c"},
    "diagnosis": {"is_preliminary": "false", "cycle": "0"},
    "fix_record": {"cycle": "0", "person": "someone", "what": "mended", "is_without_fix": "false"},
    "fix_check": {"cycle": "0", "is_ok": "true"},
    "cycle_start": {"cycle": "1"},
    "cycle_authorization": {"person": "someone"},
    "cancel_request": {"job_id": "1", "reason": "person", "person": "someone"},
    "lost_job_closure": {"condition_id": "c", "job_id": "1", "person": "someone", "reason": "looked"},
    "bare_vm": {"step": "launch", "person": "someone"},
    "assumed_image": {"step": "adoption", "image": "x:1"},
    "filed_issue": {"repository": "o/r", "action": "create", "url": "u"},
    "tracked_run": {"status": "FINISHED"},
    "snapshot": {"job_id": "1", "task_id": "0", "job_name": "job-c", "is_seen": "true", "status": "RUNNING"},
}


class Table(NamedTuple):
    """One Markdown table and what it is of."""

    relation: str
    columns: list[str]
    rows: list[list[str]]


class Case(NamedTuple):
    """One section of a file: what is given and what is expected."""

    name: str
    given: list[Table]
    expect: list[Table]


def cases(path: Path) -> Iterator[Case]:
    """Read the cases of one file, one per second-level heading."""
    for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        tables = {"given": [], "expect": []}
        for word, relation, table in re.findall(r"^(given|expect) (.+)\n\n((?:\|.*\n?)+)", body, flags=re.M):
            header, _, *lines = [_cells(line) for line in table.strip().split("\n")]
            tables[word].append(Table(relation.strip(), header, lines))
        yield Case(f"{path.stem}: {heading.strip()}", tables["given"], tables["expect"])


def sources_of(case: Case) -> Sources:
    """Turn what a case gives into full rows of all source relations, as text."""
    sources: Sources = {name: [] for name in SOURCES}
    for table in case.given:
        assert table.relation in SOURCES, f"{case.name}: {table.relation} is no source"
        known = {column.name for column in SOURCES[table.relation]}
        assert known.issuperset(table.columns), (
            f"{case.name}: {table.relation} lacks {set(table.columns) - known}"
        )
        given = [dict(zip(table.columns, cells, strict=True)) for cells in table.rows]
        sources[table.relation] += [
            {"experiment_id": "e", **DEFAULTS[table.relation], **row} for row in given
        ]
    return complete(sources)


def complete(sources: Sources) -> Sources:
    """Add what a case may leave out: clock, manifest, heartbeats and what follows from them."""
    sources["clock"] = sources["clock"] or [DEFAULTS["clock"]]
    experiments = {row["experiment_id"] for name in ("entry", "snapshot") for row in sources[name]}
    experiments -= {row["experiment_id"] for row in sources["manifest"]}
    sources["manifest"] += [{"experiment_id": name, **DEFAULTS["manifest"]} for name in sorted(experiments)]
    for row in (row for rows in sources.values() for row in rows):
        for name in ("job_id", "member_job_ids", "candidate_job_ids"):
            if name in row:
                row.setdefault(name.replace("job_id", "job_key"), row[name])
    for number, row in enumerate(sources["entry"]):
        row.setdefault("manifest_position", str(number))
        row.setdefault("job_name", f"job-{row['condition_id']}")
    beats = {(row["experiment_id"], row["poll_id"]): row for row in sources["heartbeat"]}
    for row in sources["snapshot"]:
        experiment_id, poll_id = row["experiment_id"], row["poll_id"]
        beat = {"experiment_id": experiment_id, "poll_id": poll_id, **DEFAULTS["heartbeat"]}
        beats.setdefault((experiment_id, poll_id), beat)
    for (_, poll_id), row in beats.items():
        row.setdefault("polled_at", f"00:{int(poll_id):02}")
    sources["heartbeat"] = list(beats.values())
    for row in sources["snapshot"]:
        row.setdefault("polled_at", beats[row["experiment_id"], row["poll_id"]]["polled_at"])
    return sources


def load(con: Any, sources: Sources) -> None:
    """Insert rows of text into the source relations."""
    for name, columns in SOURCES.items():
        bind(
            con,
            name,
            [tuple(value(row.get(c.name, ""), c.type) for c in columns) for row in sources.get(name, [])],
        )


def database(sources: Sources) -> Any:
    """Open an in-memory database with the sources filled; the views are still to be made."""
    con = open_empty()
    load(con, sources)
    return con


def value(text: str, kind: str) -> Any:
    """Turn a cell into a value of a DuckDB type."""
    kind = kind.lower()
    if kind.startswith("map") and kind.endswith("[]"):
        return [dict(value(item, kind[:-2])) for item in text.split("; ") if item]
    if kind == "map(varchar, double)":
        return [(key, float(number)) for key, number in value(text, "map(varchar, varchar)")]
    if kind.startswith("map"):
        return [tuple(pair.split("=")) for pair in text.split(", ") if pair]
    if kind.endswith("[]"):
        item_of = int if kind.startswith("bigint") else str
        return [item_of(item) for item in text.split(", ") if item]
    if not text:
        return None
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(text if "-" in text else f"2026-01-01T{text}").replace(tzinfo=UTC)
    if kind.startswith("decimal"):
        return Decimal(text)
    return {"bigint": int, "integer": int, "double": float, "boolean": lambda word: word == "true"}.get(
        kind, str
    )(text)


def bag(rows: Iterable[Iterable[Any]]) -> list[str]:
    """Make rows comparable without their order; doubles to the microsecond."""
    return sorted(repr([_plain(cell) for cell in row]) for row in rows)


def _plain(cell: Any) -> Any:
    if isinstance(cell, float):
        return round(cell, 6)
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat()
    if isinstance(cell, dict):
        return sorted(cell.items())
    if isinstance(cell, list):
        return [_plain(item) for item in cell]
    return cell.normalize() if isinstance(cell, Decimal) else cell


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
