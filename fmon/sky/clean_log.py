"""Remove SkyPilot's additions and secrets from a log, so that it can be stored and shown as plain text."""

from __future__ import annotations

import re

from fmon.log_text import decoded, plain
from fmon.redact import redact
from fmon.sky.head_and_tail import MARK

PAYLOAD = re.compile(r"^<sky-payload[^>\n]{0,64}>[^\n]{0,65536}</sky-payload>\n", re.MULTILINE)
"""Messages with which the server controls the spinner of SkyPilot's client."""

PREFIX = re.compile(r"^\((?:setup|(?!head, |worker\d)[^()\n]{1,256},) ?pid=\d{1,10}\) ?", re.MULTILINE)
"""Task and process before each line of a job on one node; with several nodes, the rank in it is needed."""

OWN = re.compile(
    r"^(?:(?:[\u251c\u2514]\u2500\u2500 )?(?:Waiting for task resources|Job started\. Streaming logs)[^\n]*"
    r"|(?:\u2713 |\u2a2f )?Job finished \(status: \w{1,40}\)\."
    r"|Job \d+ is already in terminal state[^\n]*|)$",
    re.MULTILINE,
)
"""Lines that SkyPilot adds to every log."""

MARK_LINE = re.compile(MARK.pattern.encode(), re.MULTILINE)

SILENT_CHARS = 64 << 10
"""SkyPilot's own lines are never longer than this in total."""

REASON = "\nFailure reason: "
CLEANED = re.compile(r"^Task [^\n]{0,300} log has been cleaned at [^\n]{1,40}\.$", re.MULTILINE)
NOT_FOUND = re.compile(r"Job \d+ not found\.")


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
    parts = MARK.split(PREFIX.sub("", PAYLOAD.sub("", text)))
    return "".join(map(redact, parts))


def no_log(text: str) -> str | None:
    """Return why the text that SkyPilot sent is not a log; None if it is one."""
    if NOT_FOUND.fullmatch(text.strip()):
        return "SkyPilot does not know the job"
    if (found := CLEANED.search(text)) and not CLEANED.sub("", OWN.sub("", text)).strip():
        return f"SkyPilot has deleted it ({found[0].rpartition(' cleaned ')[2].rstrip('.')})"
    return None


def is_silent(text: str) -> bool:
    """Return whether a cleaned log has only SkyPilot's own lines: the job never printed anything."""
    return len(text) < SILENT_CHARS and not OWN.sub("", text.partition(REASON)[0]).strip()
