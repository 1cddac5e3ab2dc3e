"""Files that a test's output must equal byte for byte; `make golden` rewrites them, the diff is reviewed."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def check(name: str, text: str) -> None:
    """Compare with a golden file, or write it where FMON_GOLDEN=write."""
    path = FOLDER / name
    if os.environ.get("FMON_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name} differs; make golden rewrites it"
