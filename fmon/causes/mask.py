"""Mask the parts of an error message that differ from run to run.

Masked are numbers, hexadecimal strings, UUIDs, hosts, times, folders of paths, process ids and ranks. Names
are kept: exception class, module, key, base name of a file; and so are exit codes.
"""

import re

# Each pattern begins with a fixed or bounded start and is possessive: linear time on any text.
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}+://[^\s'\"<>)\]]{1,1000}+")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_DOMAIN = re.compile(
    r"(?<![\w.@-])(?:[a-z0-9-]{1,63}\.){1,6}(?:com|org|net|io|ai|edu|gov|dev|cloud|local|internal|lan|intranet)\b(?::\d{1,5})?(?![\w.])"
)
_PATH = re.compile(
    r"(?:[A-Za-z]:(?=[/\\]))?(?:[^\s'\"<>()\[\]{},;|=/\\]{0,255}[/\\]+)+([^\s'\"<>()\[\]{},;|=/\\]{0,255})"
)
_FILE = re.compile(r"(?<![\w.-])[\w.+-]{0,100}[A-Za-z_][\w+-]{0,100}\.(?!\d)[A-Za-z]\w{1,9}\b")
_HEX = re.compile(r"\b(?:0x[0-9a-fA-F]++|(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,128}+)\b")
_HOST = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b|\bhost='[^']{0,255}+'")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?Z\b|[+-]\d\d:?\d\d)?)?")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d_,.]*+(?:[eE][-+]?\d++)?")
_EXIT_CODE = re.compile(
    r"\bexit(?:ed)? (?:with )?(?:exit )?(?:codes?|status) \[?-?\d{1,10}(?:, -?\d{1,10}){0,100}"
)
_SPACE = re.compile(r"\s++")
_HIDDEN = {ord(digit): 0xE000 + number for number, digit in enumerate("0123456789")}
_SHOWN = {there: here for here, there in _HIDDEN.items()}
MAX_LENGTH = 400


def mask(text: str) -> str:
    """Replace what differs from run to run.

    Parameters
    ----------
    text
        A message; only its first 2,000 characters are used.

    Returns
    -------
    str
        At most 400 characters, in one line.

    Examples
    --------
    >>> mask("No such file: '/home/ann/run_17/train.json' (rank 3)")
    "No such file: 'train.json' (rank #)"
    """
    text = _EXIT_CODE.sub(lambda match: match.group().translate(_HIDDEN), text[:2000])
    text = _URL.sub(_masked_url, text)
    text = _TIME.sub("#", _UUID.sub("#", text))
    text = _DOMAIN.sub("#", _HOST.sub("#", text))
    text = _PATH.sub(lambda match: _kept(match.group(1)), text)
    text = _FILE.sub(lambda match: _kept(match.group()), text)
    text = _HEX.sub("#", text)
    text = _NUMBER.sub("#", text)
    return _SPACE.sub(" ", text).strip()[:MAX_LENGTH].translate(_SHOWN)


def _kept(name: str) -> str:
    """Hide the digits of a file name from the masks that follow."""
    return name.translate(_HIDDEN) if "." in name else name


def _masked_url(match: re.Match[str]) -> str:
    """Keep the scheme and the last part of a URL."""
    scheme, _, rest = match.group().partition("://")
    path = rest.partition("?")[0].rstrip("/")
    return f"{scheme}://{path.rpartition('/')[2] if '/' in path else '#'}"
