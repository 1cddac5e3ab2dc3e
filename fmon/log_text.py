r"""Turn what a program wrote into plain text: one definition for storing, showing and judging a log.

Programs write UTF-16, escape codes, invisible characters and line ends of their own. Imports only the
standard library. Every expression begins with a fixed character or class and is possessive or bounded: the
time is linear in the length of the text, whatever it contains.
"""

from __future__ import annotations

import re

SAMPLE_BYTES = 4096
BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
MANY, FEW = 0.4, 0.05
"""Shares of zero bytes, of those at even or at odd offsets, that show which of them are high bytes."""

ANSI = re.compile(
    r"\x1b(?:\[[0-?]{0,64}+[ -/]{0,8}+[@-~]?"  # CSI: colours, cursor
    r"|\][^\x07\x1b\n]{0,2048}+(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|[PX^_][^\x1b\n]{0,2048}+\x1b\\"  # DCS, SOS, PM, APC
    r"|[ -/]{0,2}[0-~]?)"  # character sets and the like
    r"|\x9b[0-?]{0,64}+[@-~]?"
    r"|\[\d{1,3}(?:;\d{1,3}){0,4}m"  # codes that lost their escape character
)
SEPARATOR = "\x0b\x0c\x85\u2028\u2029"
"""Ends of a line, other than the line feed."""

CONTROL = "\x00-\x08\x0e-\x1f\x7f"
INVISIBLE = (
    "\x80-\x84\x86-\x9f"  # control characters, except those that move the cursor
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001-\U000e007f"  # Cf: zero-width, direction of the text
    "\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variants of the character before
)
SPACE = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"

_BACK = re.compile("\x08{2,}")
_OTHER = re.compile(f"[{CONTROL}{SEPARATOR}{SPACE}{INVISIBLE}]")
_LOST_MARK = re.compile("^\ufffd\ufffd(?=[^\ufffd])", re.MULTILINE)


def decoded(raw: bytes) -> str:
    r"""Decode a log: UTF-8, or UTF-16 or UTF-32 by its byte order mark or its zero bytes.

    Invalid bytes become U+FFFD.

    Examples
    --------
    >>> decoded("Fehler: größer\n".encode("utf-16-le"))
    'Fehler: größer\n'
    """
    encoding = wide_encoding(raw)
    if encoding is None:
        return raw.decode("utf-8", "replace")
    width = 4 if "32" in encoding else 2
    whole = len(raw) // width * width
    # A text that was cut at the byte of a line feed lacks the rest of it.
    return raw[:whole].decode(encoding, "replace") + ("\n" if raw[whole:] == b"\n" else "")


def wide_encoding(raw: bytes) -> str | None:
    """Return the encoding of a text with two or four bytes per character; None for any other.

    Parameters
    ----------
    raw
        The text, or at least its first ``SAMPLE_BYTES``.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return encoding
    sample = raw[:SAMPLE_BYTES]
    if len(sample) < 8:
        return None
    even, odd = (part.count(0) / len(part) for part in (sample[::2], sample[1::2]))
    if odd > MANY and even < FEW:
        return "utf-16-le"
    if even > MANY and odd < FEW:
        return "utf-16-be"
    return None


def plain(text: str, *, line_end: str = "\n") -> str:
    r"""Return a text as it reads: without escape codes, control characters and invisible ones.

    Tabs, carriage returns and line feeds stay. Any other line end becomes ``line_end``, any other space a
    space, and a run of backspaces, with which progress bars return, a carriage return.

    Examples
    --------
    >>> plain("\x1b[31mCUDA\x1b[0m out\u200b of\xa0memory\u2028\x00next")
    'CUDA out of memory\nnext'
    """
    if "\x1b" in text or "\x9b" in text or "m" in text:
        text = ANSI.sub("", text)
    if "\x08" in text:
        text = _BACK.sub("\r", text)
    if _OTHER.search(text) is not None:
        text = _OTHER.sub(lambda found: _instead(found[0], line_end), text)
    return _LOST_MARK.sub("", text) if "\ufffd\ufffd" in text else text


def _instead(character: str, line_end: str) -> str:
    if character in SEPARATOR:
        return line_end
    return " " if character.isspace() and character > " " else ""
