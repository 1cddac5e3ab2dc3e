"""Rewrite what is generated: all of it (`make docs`), or the parts that are named on the command line."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support import ROOT, readme
from tests.tools import causes, events, structure, views
from tests.tools.reads import write_reads
from tests.tools.schema import manifest_schema


def write_readme() -> None:
    """Run the commands of the README on a copy of the demo, and write down what they print."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(ROOT / "data/demo", Path(name) / "data/demo")
        readme.rewrite(Path(name))


PARTS: dict[str, Callable[[], object]] = {
    "reads": lambda: write_reads(ROOT / "fmon/warehouse/reads.py"),
    "structure": lambda: (ROOT / "docs/structure.md").write_text(structure.markdown()),
    "views": lambda: (ROOT / "docs/views.md").write_text(views.markdown()),
    "causes": lambda: (ROOT / "docs/causes.md").write_text(causes.markdown()),
    "schema": lambda: (ROOT / "fmon/manifest.schema.json").write_text(
        json.dumps(manifest_schema(), indent=2) + "\n"
    ),
    "events schema": lambda: (ROOT / "fmon/events.schema.json").write_text(
        json.dumps(events.schema(), indent=2) + "\n"
    ),
    "events": lambda: (ROOT / "docs/events.md").write_text(events.markdown()),
    "readme": write_readme,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
