"""Remove SkyPilot's additions and secrets from a log, so that it can be stored and shown."""

from __future__ import annotations

import re

from fmon.redact import redact
from fmon.sky.head_and_tail import MARK
from fmon.sky.own_lines import sentence_of

ANSI = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor
    r"|\][^\x07\x1b\n]{0,2048}+(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|[ -/]{1,2}[0-~]|[0-Z\\^-~])"  # character sets and the like
)
PAYLOAD = re.compile(r"^<sky-payload[^>\n]{0,64}>[^\n]{0,65536}</sky-payload>\n", re.MULTILINE)
"""Messages with which the server controls the spinner of SkyPilot's client."""

PREFIX = re.compile(r"^\((?:setup|(?!head, |worker\d)[^()\n]{1,256},) ?pid=\d{1,10}\) ?", re.MULTILINE)
"""Task and process before each line of a job on one node; with several nodes, the rank in it is needed."""


def cleaned(raw: bytes) -> str:
    """Clean a raw log for storage: remove ANSI codes, SkyPilot's prefixes and secrets.

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
    text = ANSI.sub("", raw.decode("utf-8", "replace").replace("\r\n", "\n"))
    parts = MARK.split(_without_prefix(PAYLOAD.sub("", text)))
    return "".join(map(redact, parts))


def _without_prefix(text: str) -> str:
    """Remove the prefixes of SkyPilot, except from a line that would then look like one of its own."""

    def bare(prefix: re.Match[str]) -> str:
        end = text.find("\n", prefix.end())
        line = text[prefix.end() : end if end >= 0 else None]
        return prefix[0] if sentence_of(line) else ""

    return PREFIX.sub(bare, text)
