"""docs/structure.md names every module."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_is_named():
    code = re.findall(r"`([^`\n]+)`", (ROOT / "docs/structure.md").read_text())
    named = {word for span in code for word in re.findall(r"\w+", span)}
    modules = {path.stem for path in (ROOT / "fmon").rglob("*.py") if not path.stem.startswith("__")}
    assert modules - named == set()
