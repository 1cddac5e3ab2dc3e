"""fmon watch on a terminal and in a pipe."""

import re
import sys

import pytest

from fmon.terminal.watch import WatchScreen
from tests.support.screens import MIXED, alarm, on_terminal, row, seen


def test_a_pipe_gets_one_line_per_change(capsys):
    with WatchScreen() as screen:
        for rows in ([row(1)], [row(1)], [row(1, "succeeded")]):
            screen.show(seen(rows))
        screen.show(seen(rows), note="the queue did not answer")
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r".* UTC  (\d/\d).*?(;.*)?$", r"\1\2", line) for line in lines] == [
        "0/1",
        "1/1",
        "1/1; the queue did not answer",
    ]


def test_a_pipe_gets_a_note_once_although_the_progress_changes(capsys):
    with WatchScreen() as screen:
        for state in ("running", "succeeded", "failed"):
            screen.show(seen([row(1, state)]), note="2 not submitted")
        screen.show(seen([row(1, "failed")]), note="1 not submitted")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[2] for line in lines] == ["2 not submitted", "", "", "1 not submitted"]


def test_a_pipe_gets_each_new_alarm_once(capsys):
    with WatchScreen() as screen:
        for alarms in ([], [alarm(3)], [alarm(3)], [alarm(3), alarm(4)]):
            screen.show(seen(MIXED, alarms))
    out = capsys.readouterr().out
    assert [out.count(f"job {number} runs longer") for number in (3, 4)] == [1, 1]


def test_a_terminal_gets_a_table_that_redraws_itself():
    out = on_terminal("watch", columns=100)
    assert "\x1b[1A" in out
    assert "a note" in out.split("\x1b[2K")[-1]
    assert out.endswith("\x1b[?25h"), "the cursor is shown again"


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines():
    out = on_terminal("watch", TERM="dumb")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3


def test_a_small_terminal_is_never_overfull(monkeypatch):
    """Lines that have scrolled away can't be redrawn."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("LINES", "20")
    lines = WatchScreen()._screen(seen([row(number) for number in range(500)], [alarm(1)]), None)
    assert len(lines) < 20
    assert any("... 49" in part.text for line in lines for part in line)
