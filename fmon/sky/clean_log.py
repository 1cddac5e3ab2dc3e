"""SkyPilot's own marks out of a log, and secrets: what is left may be stored and shown."""

from __future__ import annotations

import re

from fmon.redact import redact
from fmon.sky.head_and_tail import MARK

ANSI = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # CSI: colours, cursor
    r"|\][^\x07\x1b\n]{0,2048}+(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|[ -/]{1,2}[0-~]|[0-Z\\^-~])"  # character sets and the like
)
PAYLOAD = re.compile(r"^<sky-payload[^>\n]{0,64}>[^\n]{0,65536}</sky-payload>\n", re.MULTILINE)
"""How the server moves the spinner of SkyPilot's own client."""

PREFIX = re.compile(r"^\((?:setup|(?!head, |worker\d)[^()\n]{1,256},) ?pid=\d{1,10}\) ?", re.MULTILINE)
"""Task and process before each line of a job on one node; on several the rank in it says who failed first."""

OWN = re.compile(
    r"^(?:(?:[\u251c\u2514]\u2500\u2500 )?(?:Waiting for task resources|Job started\. Streaming logs)[^\n]*"
    r"|(?:\u2713 |\u2a2f )?Job finished \(status: \w{1,40}\)\."
    r"|Job \d+ is already in terminal state[^\n]*|)$",
    re.MULTILINE,
)
"""Lines that SkyPilot adds to every log."""

SILENT_CHARS = 64 << 10
"""SkyPilot alone never says more."""

REASON = "\nFailure reason: "
CLEANED = re.compile(r"^Task [^\n]{0,300} log has been cleaned at [^\n]{1,40}\.$", re.MULTILINE)
NOT_FOUND = re.compile(r"Job \d+ not found\.")


def cleaned(raw: bytes) -> str:
    """Make a raw log fit to be stored: text, without ANSI codes, SkyPilot's prefixes and secrets.

    Parameters
    ----------
    raw
        What a ``LogReader`` gave; any bytes.

    Returns
    -------
    str
        Lines end in one newline; a carriage return within a line stays. Nothing of a secret is left, cut
        in the middle or not.
    """
    text = ANSI.sub("", raw.decode("utf-8", "replace").replace("\r\n", "\n"))
    parts = MARK.split(PREFIX.sub("", PAYLOAD.sub("", text)))
    return "".join(map(redact, parts))


def no_log(text: str) -> str | None:
    """Say why what SkyPilot gave as a log is none; None where it is one."""
    if NOT_FOUND.fullmatch(text.strip()):
        return "SkyPilot knows no such job"
    if (found := CLEANED.search(text)) and not CLEANED.sub("", OWN.sub("", text)).strip():
        return f"SkyPilot has deleted it ({found[0].rpartition(' cleaned ')[2].rstrip('.')})"
    return None


def is_silent(text: str) -> bool:
    """Tell whether a cleaned log holds nothing but what SkyPilot itself adds: the job never printed."""
    return len(text) < SILENT_CHARS and not OWN.sub("", text.partition(REASON)[0]).strip()
