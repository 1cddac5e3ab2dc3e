"""Ctrl-C ends a loop even where the exception was lost on the way."""

import contextlib
import os
import signal

import pytest

from fmon.clock import Clock
from fmon.terminal.interrupt import Interrupts


def test_an_interrupt_that_was_swallowed_is_raised_before_the_next_wait():
    with Interrupts(Clock()) as ctrl_c:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.clock.sleep(60)


def test_the_handler_of_before_is_back_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(Clock()) as ctrl_c:
        ctrl_c.clock.sleep(0)
    assert signal.getsignal(signal.SIGINT) is before
