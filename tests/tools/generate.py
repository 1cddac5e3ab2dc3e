"""Rewrite what is generated: the docs of views and causes, the manifest's schema, the README's outputs."""

import json
import shutil
import tempfile
from pathlib import Path

from fmon.causes.document import markdown as causes
from fmon.manifest.file import manifest_schema
from fmon.warehouse import markdown
from tests.support import readme


def main() -> None:
    """Rewrite all of it; git shows what changed."""
    (readme.ROOT / "docs/views.md").write_text(markdown())
    (readme.ROOT / "docs/causes.md").write_text(causes())
    (readme.ROOT / "fmon/manifest.schema.json").write_text(json.dumps(manifest_schema(), indent=2) + "\n")
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(readme.ROOT / "data/demo", Path(name) / "data/demo")
        readme.rewrite(Path(name))


if __name__ == "__main__":
    main()
