"""References to variables in the values of a task: ``${NAME}`` anywhere, or ``$NAME`` alone.

SkyPilot passes all of them on unchanged; fmon fills these two and refuses what only a shell could expand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
"""A valid name of an environment variable."""
_BRACED = re.compile(rf"\$\{{({VARIABLE})\}}")
_BARE = re.compile(rf"\$({VARIABLE})")
_SHELL = re.compile(rf"\$\{{[^}}]*\}}?|\$\([^)]*\)?|^\${VARIABLE}(?=/)")


def placeholders(text: str) -> list[str]:
    """List the variables that a value refers to.

    Examples
    --------
    >>> placeholders("https://${USER}:${KEY}@host"), placeholders("$KEY"), placeholders("pa$word")
    (['USER', 'KEY'], ['KEY'], [])
    """
    bare = _BARE.fullmatch(text)
    return [bare[1]] if bare else _BRACED.findall(text)


def filled(text: str, get: Callable[[str], str | None]) -> str:
    """Replace the placeholders of a value that have one."""
    pattern = _BARE if _BARE.fullmatch(text) else _BRACED
    return pattern.sub(lambda found: get(found[1]) or found[0], text)


def shell_form(text: str) -> str | None:
    """Return the first reference that only a shell could expand; None if there is none.

    Examples
    --------
    >>> shell_form("a/${NAME:-x}"), shell_form("$(date)"), shell_form("$HOME/x"), shell_form("${NAME}")
    ('${NAME:-x}', '$(date)', '$HOME', None)
    """
    found = (each[0] for each in _SHELL.finditer(text) if not _BRACED.fullmatch(each[0]))
    return next(found, None)


def has_reference(text: str) -> bool:
    """Return whether a value refers to a variable or a command that something would have to expand."""
    return bool(placeholders(text)) or shell_form(text) is not None
