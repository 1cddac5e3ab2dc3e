"""Which statuses are terminal and which failed: what ``sql/status.sql`` says, without DuckDB."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path


def terminal_statuses() -> frozenset[str]:
    """Give the statuses that no further change is possible from."""
    return _statuses("is_terminal")


def failed_statuses() -> frozenset[str]:
    """Give the statuses of jobs that ended without success; CANCELLED is none of them."""
    return _statuses("is_failed")


def is_terminal(status: str) -> bool:
    """Tell whether no further change of a status is possible; an unknown status is not terminal."""
    return status in terminal_statuses()


@cache
def _statuses(column: str) -> frozenset[str]:
    """Read the statuses of which a column is true out of the rows of ``sql/status.sql``."""
    columns, rows = _rows()
    at = columns.index(column)
    return frozenset(row[0].strip(" '") for row in rows if row[at].strip() == "true")


@cache
def _rows() -> tuple[list[str], list[list[str]]]:
    # Not importlib.resources: it loads tempfile and zipfile, and a poll comes by here.
    folder = Path(str(import_module("fmon.sql").__file__))
    text = folder.with_name("status.sql").read_text(encoding="utf-8")
    columns = re.search(r"as known \(([^)]*)\)", text)
    if columns is None:
        message = "sql/status.sql does not list the statuses as `values (...) as known (status, ...)`"
        raise RuntimeError(message)
    rows = [row.split(",") for row in re.findall(r"^ *\(('[^)]*)\)", text, re.MULTILINE)]
    return [name.strip() for name in columns[1].split(",")], rows
