"""Rewrite what is generated: the docs of views and causes, the manifest's schema, the README's outputs."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from fmon.causes.document import markdown as causes
from fmon.manifest.file import manifest_schema
from fmon.schema import SOURCES
from fmon.warehouse import markdown
from fmon.warehouse.reads import READS
from fmon.warehouse.views import VIEWS, made_and_commented, relations_in
from tests.support import readme
from tests.tools import events


def main() -> None:
    """Rewrite all of it; git shows what changed."""
    write_views()
    (readme.ROOT / "docs/causes.md").write_text(causes())
    (readme.ROOT / "fmon/manifest.schema.json").write_text(json.dumps(manifest_schema(), indent=2) + "\n")
    (readme.ROOT / "fmon/events.schema.json").write_text(json.dumps(events.schema(), indent=2) + "\n")
    (readme.ROOT / "docs/events.md").write_text(events.markdown())
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(readme.ROOT / "data/demo", Path(name) / "data/demo")
        readme.rewrite(Path(name))


def write_views() -> None:
    """Rewrite what each view reads, and the doc of the views."""
    READS.update(parsed_reads())  # a view that was just added is not in it yet
    _write_reads(readme.ROOT / "fmon/warehouse/reads.py")
    (readme.ROOT / "docs/views.md").write_text(markdown())


READS_PY = '''\
"""What each view reads, as often as it does; by ``make docs``, as asking takes 100 ms at each start."""

READS: dict[str, tuple[str, ...]] = {}
'''


def _write_reads(path: Path) -> None:
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


if __name__ == "__main__":
    main()
