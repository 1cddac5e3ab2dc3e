"""Which statuses are terminal: what ``sql/status.sql`` says, read without DuckDB (floor 4)."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path


@cache
def terminal_statuses() -> frozenset[str]:
    """Read the terminal statuses out of the rows of ``sql/status.sql``."""
    # Not importlib.resources: it loads tempfile and zipfile, and a poll comes by here.
    folder = Path(str(import_module("fmon.sql").__file__))
    text = folder.with_name("status.sql").read_text(encoding="utf-8")
    columns = re.search(r"as known \(([^)]*)\)", text)
    if columns is None:
        message = "sql/status.sql does not list the statuses as `values (...) as known (status, ...)`"
        raise RuntimeError(message)
    at = [name.strip() for name in columns[1].split(",")].index("is_terminal")
    rows = [row.split(",") for row in re.findall(r"^ *\(('[^)]*)\)", text, re.MULTILINE)]
    return frozenset(row[0].strip(" '") for row in rows if row[at].strip() == "true")


def is_terminal(status: str) -> bool:
    """Tell whether no further change of a status is possible; an unknown status is not terminal."""
    return status in terminal_statuses()
