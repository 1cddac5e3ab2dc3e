"""Rewrite what is generated: docs of modules, views and causes, the manifest's schema, README's outputs."""

import json
import shutil
import tempfile
from pathlib import Path

from tests.support import ROOT, readme
from tests.tools import causes, structure, views
from tests.tools.reads import write_reads
from tests.tools.schema import manifest_schema


def main() -> None:
    """Rewrite all of it; git shows what changed."""
    write_reads(ROOT / "fmon/warehouse/reads.py")
    (ROOT / "docs/structure.md").write_text(structure.markdown())
    (ROOT / "docs/views.md").write_text(views.markdown())
    (ROOT / "docs/causes.md").write_text(causes.markdown())
    (ROOT / "fmon/manifest.schema.json").write_text(json.dumps(manifest_schema(), indent=2) + "\n")
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(ROOT / "data/demo", Path(name) / "data/demo")
        readme.rewrite(Path(name))


if __name__ == "__main__":
    main()
