"""Clean a log as it arrives: the output equals what ``cleaned`` returns for the text so far.

The pieces end anywhere, in the middle of a secret too. So only complete lines are released, of an unfinished
one the complete words. Each piece is cleaned together with the text before it, since a secret may take
several lines: a key, or the words of a .netrc file.
"""

from __future__ import annotations

import re

from fmon.redact import MAX_KEY_BLOCK
from fmon.sky.clean_log import cleaned
from fmon.sky.head_and_tail import LONGEST_SECRET

CONTEXT_BYTES = 2 * MAX_KEY_BLOCK
MAX_PENDING_BYTES = 1 << 20
"""Part of a longer word is left out."""

PAYLOAD = b"<sky-payload"
UNFINISHED = re.compile(PAYLOAD + rb"|\([^()\n]{0,300}$|\([^()\n]{0,300}\) ?$")
"""The start of a line that may still become one of SkyPilot's additions."""

CUT = b"[fmon: %d bytes left out here]\n"


class LiveText:
    r"""Cleans pieces of a log as ``cleaned`` does the whole.

    Examples
    --------
    >>> text = LiveText()
    >>> text.add(b"step 1\nMY_TOKEN=abc"), text.add(b"def\nstep 2")
    ('step 1\n', 'MY_TOKEN=[redacted:token]\n')
    >>> text.end()
    'step 2'
    """

    def __init__(self) -> None:
        self._pending = b""
        self._context = b""
        self._context_text = ""

    def add(self, piece: bytes) -> str:
        """Add a piece; return the text that is complete by now."""
        self._pending += piece
        if len(self._pending) > MAX_PENDING_BYTES and b"\n" not in self._pending:
            kept = self._pending[:-LONGEST_SECRET]
            self._pending = kept + b"\n" + CUT % (len(self._pending) - len(kept))
        return self._release(self._pending.rfind(b"\n") + 1)

    def pause(self) -> str:
        """Return the complete words of an unfinished line, when nothing arrives for a while."""
        return "" if UNFINISHED.match(self._line()) else self._words()

    def stop(self) -> str:
        """Return what can be shown although the log continues: a cut word may be part of a secret."""
        return "" if self._line().startswith(PAYLOAD) else self._words()

    def end(self) -> str:
        """Return the rest: the log is complete."""
        return self._release(len(self._pending))

    def _words(self) -> str:
        return self._release(max(map(self._pending.rfind, (b" ", b"\t", b"\r"))) + 1)

    def _line(self) -> bytes:
        """Return the unfinished line from its beginning."""
        return (self._context + self._pending).rpartition(b"\n")[2]

    def _release(self, end: int) -> str:
        """Clean the pending bytes up to a position, and return what that adds."""
        if not end:
            return ""
        raw = self._context + self._pending[:end]
        self._pending = self._pending[end:]
        text = cleaned(raw)
        fresh = text[_common_length(self._context_text, text) :]
        self._context, self._context_text = raw, text
        if len(raw) > CONTEXT_BYTES:
            self._context = _from_a_line(raw[-CONTEXT_BYTES:])
            self._context_text = cleaned(self._context)
        return fresh


def _common_length(before: str, text: str) -> int:
    """Return how much of the text was shown; words before may now be the start of a secret."""
    if text.startswith(before):
        return len(before)
    differ = (at for at, (old, new) in enumerate(zip(before, text, strict=False)) if old != new)
    return next(differ, min(len(before), len(text)))


def _from_a_line(raw: bytes) -> bytes:
    """Return the bytes from the first start of a line or a word."""
    line = raw.find(b"\n") + 1
    return raw[line or raw.find(b" ") + 1 :]
