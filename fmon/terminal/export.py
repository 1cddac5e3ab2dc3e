"""Write a query result as a file to stdout."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fmon.errors import ConfigError
from fmon.terminal.lines import is_terminal
from fmon.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable


def print_exported(write: Callable[[Path], None], name: str) -> None:
    """Write a file and print it, byte for byte; nothing is printed unless the entire file could be written.

    Parameters
    ----------
    write
        Function that writes the file.
    name
        ``csv`` or ``parquet``, which a terminal can't show.

    Raises
    ------
    ConfigError
        The format is parquet and stdout is a terminal.
    """
    if name == "parquet" and is_terminal():
        raise ConfigError(
            "parquet is binary and can't be shown on a terminal; redirect it to a file: ... -o parquet > FILE"
        )
    with tempfile.TemporaryDirectory(prefix="fmon-") as folder:
        path = Path(folder, f"rows.{name}")
        write(path)
        if is_terminal():  # text from logs must not control it
            with path.open(encoding="utf-8", newline="\r\n") as lines:
                for each in lines:
                    print("\n".join(map(visible, each.removesuffix("\r\n").split("\n"))))  # noqa: T201
            return
        with path.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
