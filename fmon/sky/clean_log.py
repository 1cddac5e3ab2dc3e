"""Remove SkyPilot's additions and secrets from a log, so that it can be stored and shown as plain text."""

from __future__ import annotations

import re

from fmon.log_text import decoded, plain
from fmon.redact import redact
from fmon.sky.head_and_tail import MARK
from fmon.sky.own_lines import sentence_of

PAYLOAD = re.compile(r"^<sky-payload[^>\n]{0,64}>[^\n]{0,65536}</sky-payload>\n", re.MULTILINE)
"""Messages with which the server controls the spinner of SkyPilot's client."""

PREFIX = re.compile(r"^\((?:setup|(?!head, |worker\d)[^()\n]{1,256},) ?pid=\d{1,10}\) ?", re.MULTILINE)
"""Task and process before each line of a job on one node; with several nodes, the rank in it is needed."""

MARK_LINE = re.compile(MARK.pattern.encode(), re.MULTILINE)


def cleaned(raw: bytes) -> str:
    """Clean a raw log for storage: make it plain text, remove SkyPilot's prefixes and secrets.

    Parameters
    ----------
    raw
        The log as a ``LogReader`` returned it; any bytes.

    Returns
    -------
    str
        The text. Lines end in a newline; a carriage return within a line stays. No part of a secret is
        left, not even at a cut.
    """
    text = plain("".join(map(decoded, MARK_LINE.split(raw)))).replace("\r\n", "\n")
    parts = MARK.split(_without_prefix(PAYLOAD.sub("", text)))
    return "".join(map(redact, parts))


def _without_prefix(text: str) -> str:
    """Remove the prefixes of SkyPilot, except from a line that would then look like one of its own."""

    def bare(prefix: re.Match[str]) -> str:
        end = text.find("\n", prefix.end())
        line = text[prefix.end() : end if end >= 0 else None]
        return prefix[0] if sentence_of(line) else ""

    return PREFIX.sub(bare, text)
