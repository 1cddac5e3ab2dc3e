"""fmon/warehouse/reads.py: what each view reads, by DuckDB's parser."""

import subprocess
import sys
from pathlib import Path

import duckdb

from fmon.schema import SOURCES
from fmon.warehouse.reads import READS
from fmon.warehouse.views import VIEWS, made_and_commented, relations_in

READS_PY = '''\
"""The relations that each view reads, once per reference; written by ``make docs``: parsing takes 100 ms."""

READS: dict[str, tuple[str, ...]] = {}
'''


def write_reads(path: Path) -> None:
    """Rewrite the module, and the reads in memory: a view that was just added is in none yet."""
    READS.update(parsed_reads())
    path.write_text(READS_PY.format(READS))
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", path], check=True)


def parsed_reads() -> dict[str, tuple[str, ...]]:
    """Ask DuckDB's parser what each view reads of the sources and of the views before it."""
    con = duckdb.connect()
    order = [*SOURCES, *VIEWS]
    reads = {}
    for view in VIEWS:
        found = relations_in(con, [made_and_commented(view)[0]])
        assert found is not None, f"sql/{view}.sql reads something that is neither a source nor a view"
        reads[view] = tuple(name for name in order[: order.index(view)] for _ in range(found[name]))
    return reads
