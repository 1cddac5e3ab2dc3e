"""Print a log as it arrives."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from fmon.terminal.streams import NoReaderError, require_reader
from fmon.text import visible

if TYPE_CHECKING:
    from collections.abc import Generator


def print_log(pieces: Generator[str], name: str | None = None) -> None:
    """Print the pieces of a log, with control characters escaped, until the reader is gone.

    Parameters
    ----------
    pieces
        The text; an empty piece is a quiet second.
    name
        The name for a header; None = no header.
    """
    header = "" if name is None else f"==> {visible(name)} <==\n"
    is_in_line = False
    try:
        with closing(pieces):
            for piece in pieces:
                require_reader()
                if piece:
                    sys.stdout.write(header + "\n".join(map(visible, piece.split("\n"))))
                    sys.stdout.flush()
                    header, is_in_line = "", not piece.endswith("\n")
    except NoReaderError:
        return
    finally:
        if is_in_line:
            sys.stdout.write("\n")
            sys.stdout.flush()
