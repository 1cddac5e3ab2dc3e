"""The result of one check before anything is launched."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Check(NamedTuple):
    """The result of one check; ``launch`` refuses what failed."""

    name: str
    result: Literal["ok", "warn", "fail"]
    sentence: str
