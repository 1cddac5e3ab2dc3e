"""The bar of fmon launch on a real terminal: drawn, taken away again, and absent where stderr is a file."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.support.launching import launching_world

COMMAND = """
import os, signal, sys, time
from pathlib import Path
from fmon.cli import app as cli
from fmon.cli.services import using
from tests.support.fake_skypilot import FINE
from tests.support.launching import CONFIG, TASK, launching_world
from tests.support.typed import FakeServices

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
tried, sent = launching_world(Path.cwd()), []

def fate(submission):
    sent.append(submission)
    time.sleep(0.15)  # longer than the bar's refresh
    if len(sent) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGINT)
    return FINE

tried.fate = fate
with using(FakeServices(tried)):
    cli.app(["launch", "project/experiment.yaml", "--yes"])
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ERASE_LINE, SHOW_CURSOR, HIDE_CURSOR = "\x1b[2K", "\x1b[?25h", "\x1b[?25l"


def on_a_terminal(folder, *, interrupted_at=0):
    """Run it with stderr on a terminal; give the exit code and every byte that the terminal got."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(interrupted_at)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    got = b""
    while True:
        try:
            got += (chunk := os.read(ours, 65536))
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
    os.close(ours)
    return process.wait(timeout=60), got.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interrupted_at", "code", "last"),
    [(0, 0, "4 of 4 conditions have a job"), (3, 130, "nothing is launched twice")],
)
def test_it_is_drawn_and_leaves_whole_lines_also_behind_ctrl_c(tmp_path, interrupted_at, code, last):
    exit_code, got = on_a_terminal(tmp_path, interrupted_at=interrupted_at)
    assert exit_code == code, got
    assert re.search(r"launching .*/4", CONTROL.sub("", got))
    drawn, _, behind = got.rpartition(ERASE_LINE)
    assert "launching" in drawn
    assert "launching" not in CONTROL.sub("", behind)
    assert last in behind
    assert behind.endswith("\r\n")
    assert got.rfind(SHOW_CURSOR) > got.rfind(HIDE_CURSOR)


@pytest.mark.slow
def test_in_a_file_there_is_none(tmp_path):
    launching_world(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "launching" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "4 of 4 conditions have a job" in done.stderr
