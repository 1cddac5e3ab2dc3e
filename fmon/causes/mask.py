"""Mask what differs between two runs of one error (floor 3).

Masked are numbers, hex, uuids, hosts, times, folders of paths, pids and ranks. Never masked are
names: exception class, module, key, file basename.
"""

import re

# Each pattern begins with a fixed or bounded start and is possessive: linear time on any text.
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}+://[^\s'\"<>)\]]{1,1000}+")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_FOLDERS = re.compile(
    r"(?<![\w.~-])(?:[A-Za-z]:)?(?:~|\.{1,2}|[\w.@+~-]{1,255}+)?(?:[/\\][\w.@+=,~:-]{0,255}+)*+[/\\]+"
)
_HEX = re.compile(r"\b(?:0x[0-9a-fA-F]++|(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,128}+)\b")
_HOST = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b|\bhost='[^']{0,255}+'")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d_,.]*+(?:[eE][-+]?\d++)?")
_SPACE = re.compile(r"\s++")
MAX_LENGTH = 400


def mask(text: str) -> str:
    """Replace what differs between two runs of one error.

    Parameters
    ----------
    text : a message; only its first 2,000 characters count

    Returns
    -------
    str
        At most 400 characters, in one line.

    Examples
    --------
    >>> mask("No such file: '/home/ann/run_17/train.json' (rank 3)")
    "No such file: 'train.json' (rank #)"
    """
    text = text[:2000]
    text = _URL.sub(_masked_url, text)
    text = _UUID.sub("#", text)
    text = _HOST.sub("#", text)
    text = _FOLDERS.sub("", text)
    text = _HEX.sub("#", text)
    text = _NUMBER.sub("#", text)
    return _SPACE.sub(" ", text).strip()[:MAX_LENGTH]


def _masked_url(match: re.Match[str]) -> str:
    """Keep the scheme and the last part of an address."""
    scheme, _, rest = match.group().partition("://")
    path = rest.partition("?")[0].rstrip("/")
    return f"{scheme}://{path.rpartition('/')[2] if '/' in path else '#'}"
