"""Numbers with the text that a YAML file has for them: a job gets ``1e-4`` as it is written.

YAML 1.1, which PyYAML implements, reads ``1e-4`` and ``1.5e3`` as text; YAML 1.2 reads them as numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)")
"""A number with an exponent, as in YAML 1.2."""


class WrittenInt(int):
    """An integer that is not written as Python would, such as ``0x10``; ``written`` is its text."""

    written: str


class WrittenFloat(float):
    """A number that is not written as Python would, such as ``1e-4``; ``written`` is its text."""

    written: str


@dataclass(frozen=True)
class BooleanKey:
    """A key true or false of a mapping: in Python, true and 1 would be the same key."""

    value: bool

    def __repr__(self) -> str:
        return "true" if self.value else "false"


def as_written(number: float, text: str) -> int | float:
    """Return a number that keeps its text, if that is not its default text.

    Examples
    --------
    >>> as_written(0.0001, "1e-4").written, type(as_written(0.1, "0.1"))
    ('1e-4', <class 'float'>)
    """
    if str(number) == text:
        return number
    kept = WrittenInt(number) if isinstance(number, int) else WrittenFloat(number)
    kept.written = text
    return kept


def plain(value: Any) -> Any:
    """Return a value of Python's own types, which msgspec and PyYAML can write."""
    match value:
        case BooleanKey():
            return value.value
        case WrittenInt():
            return int(value)
        case WrittenFloat():
            return float(value)
        case dict():
            return {plain(key): plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
    return value
