"""Never lose a Ctrl-C."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from fmon.clock import Clock


class Interrupts:
    """Context manager that remembers Ctrl-C.

    A KeyboardInterrupt that arrives while C code calls back into Python (a destructor, an import hook, a
    database's callback) is printed or dropped there, and a loop would continue as if nothing had happened.

    Parameters
    ----------
    clock
        The clock to wait with.

    Attributes
    ----------
    clock
        That clock, with a sleep that Ctrl-C ends.
    """

    def __init__(self, clock: Clock) -> None:
        self._is_pressed = False
        self._sleep = clock.sleep
        self.clock = replace(clock, sleep=self.sleep)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds; raise KeyboardInterrupt at once if Ctrl-C was pressed before."""
        if self._is_pressed:
            raise KeyboardInterrupt
        self._sleep(seconds)

    def _note(self, *_: Any) -> None:
        self._is_pressed = True
        raise KeyboardInterrupt
