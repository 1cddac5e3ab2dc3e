"""fmon as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FMON = str(Path(sys.executable).with_name("fmon"))


def fmon(
    *words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever comes of it."""
    command = [FMON, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=env, cwd=cwd, input=stdin, check=False
    )
