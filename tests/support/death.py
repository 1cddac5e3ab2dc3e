"""Processes that die in the middle of something."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Killed(BaseException):
    """The process is dead: nothing catches it, and nothing is cleaned up."""


class Death:
    """Let the process die at the n-th system call that changes the disk, before or after it happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.left = at
        for name in ("open", "write", "fsync", "replace", "unlink", "mkdir"):
            monkeypatch.setattr(os, name, self.mortal(getattr(os, name), after=after))

    def mortal(self, call: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        """Make a call one that may be the last."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left < 0 or (self.left == 0 and not after):
                raise Killed
            done = call(*args, **kwargs)
            if self.left == 0:
                raise Killed
            return done

        return wrapped
