"""Killed at any moment, the store loses no acknowledged poll and never shows an inconsistent one."""

import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from fmon.store import state
from fmon.store.folder import Store
from fmon.store.log import append
from fmon.store.reading import listing
from tests.store.crash_worker import STOP, acknowledged, truth_of
from tests.support.death import Death, Killed
from tests.support.stores import hold_against, look, micros, record

pytestmark = pytest.mark.slow


class History:
    """Polls with what they saw, so that the log can be compared with it."""

    def __init__(self):
        self.minutes = count()
        self.truth = {}

    def poll(self, store, records):
        minute = next(self.minutes)
        self.truth[micros(minute)] = records
        append(store, look(minute), records)


SCENES = {
    "a changed poll": (4, [record(1, "FAILED"), record(3)]),
    "a quiet poll": (4, [record(1, "S3"), record(2)]),
    "a failed look": (4, None),
    "the first poll": (0, [record(1)]),
    "compaction of two tiers": (8, [record(1, "FAILED")]),
}


@pytest.mark.usefixtures("small_tiers")
@pytest.mark.parametrize(
    "after",
    [pytest.param(False, id="before", marks=pytest.mark.slow), pytest.param(True, id="after")],
)  # "before" takes longer, and runs with the slow tests
@pytest.mark.parametrize("scene", SCENES)
def test_death_at_any_system_call_loses_nothing(store, scene, after):
    polls_before, dying = SCENES[scene]
    original = History()
    for number in range(polls_before):
        original.poll(store, [record(1, f"S{number}"), record(2)])
    for at in count(1):
        history = History()
        history.truth.update(original.truth)
        history.minutes = count(polls_before)
        copy = Store(store.path.parent.parent / f"copy{at}" / store.experiment_id)
        shutil.copytree(store.path, copy.path)
        died = dies(copy, history, dying, at=at, after=after)
        first = len(hold_against(copy, history.truth))
        assert first in (polls_before, polls_before + 1)
        for records in (None, [record(1, "S3"), record(2)], dying, dying, [record(9)]):
            history.poll(copy, records)
        assert len(hold_against(copy, history.truth)) == first + 5
        assert state.load(copy, None).equals(state.load(copy, state.header(copy, first + 5)))
        assert not [name for name in listing(copy.log_dir) if name.endswith(".tmp")]
        if not died:
            assert at > 5
            return


def dies(store, history, records, *, at, after):
    """Poll until death; False where the poll was through before."""
    with pytest.MonkeyPatch.context() as patched:
        Death(patched, at, after=after)
        try:
            history.poll(store, records)
        except Killed:
            return True
    return False


def kill_in_a_loop(store, acks, kills):
    """Run two pollers and a reader, and kill -9 one of the pollers again and again."""
    acks.mkdir()
    reader = start("reader", store, acks)
    pollers = [start("poller", store, acks) for _ in range(2)]
    dice = random.Random()
    try:
        for _ in range(kills):
            victim = dice.randrange(2)
            wait_for_ack(acks, pollers[victim])
            time.sleep(dice.uniform(0, 0.1))
            pollers[victim].send_signal(signal.SIGKILL)
            assert pollers[victim].wait() == -signal.SIGKILL
            pollers[victim].stderr.close()
            pollers[victim] = start("poller", store, acks)
    finally:
        for poller in pollers:
            poller.kill()
            poller.wait()
            poller.stderr.close()
        (acks / STOP).touch()
        said = reader.communicate(timeout=60)[1].decode()
    assert reader.returncode == 0, said


def start(role, store, acks):
    command = [sys.executable, "-m", "tests.store.crash_worker", role, str(store.path), str(acks)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, cwd=Path.cwd())


def wait_for_ack(acks, poller):
    """Wait until a poller is at work; what it says where it ended by itself."""
    give_up_at = time.monotonic() + 60
    own = acks / f"{poller.pid}.acks"
    while not (own.exists() and own.stat().st_size):
        assert poller.poll() is None, poller.stderr.read().decode()
        assert time.monotonic() < give_up_at, "the poller does not get to work"
        time.sleep(0.005)


def check_kills(store, acks, kills):
    kill_in_a_loop(store, acks, kills)
    logged = hold_against(store, truth_of(store))
    done = acknowledged(acks)
    assert len(done) >= kills
    assert len({poll_id for poll_id, _ in done}) == len(done)
    assert set(done) <= set(logged)
    newest = logged[-1][0]
    assert state.load(store, None).equals(state.load(store, state.header(store, newest)))
    append(store, look(), None)
    assert not [name for name in listing(store.log_dir) if name.endswith(".tmp")]


@pytest.mark.slow
def test_four_kills_lose_no_acknowledged_poll(store, tmp_path):
    check_kills(store, tmp_path / "acks", 4)


@pytest.mark.slow
def test_a_hundred_kills_lose_no_acknowledged_poll(store, tmp_path):
    check_kills(store, tmp_path / "acks", 100)
