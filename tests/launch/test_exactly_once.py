"""Each condition is launched exactly once per cycle, whatever is killed, dropped, late or away.

Trials with seeds: a fake SkyPilot on which all goes wrong, the real code that launches, and at the end the
jobs counted. ``pytest -s`` prints the figures.
"""

import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

import fmon.launch.dispatcher
import fmon.manifest.file
from fmon.errors import QueueError
from fmon.launch.dispatch import LaunchKey
from fmon.manifest.file import read_manifest
from fmon.manifest.stored import StoredExperiment
from fmon.monitor.ingest import attach_jobs
from fmon.store.durable import LockTaken
from tests.support.death import Killed
from tests.support.dispatching import all_of, launch, launched_jobs, make_store
from tests.support.fake_skypilot import (
    NO_QUOTA,
    OVERLOADED,
    FakeSkyPilot,
    FakeSubmitter,
    Fate,
    SkyPilotQueue,
)
from tests.support.world import PACE

TRIALS = 320
LATE_S = PACE.grace_s - 15
"""What was sent arrives at most so long after its sender died: the grace is stated to be longer."""

MAX_RUNS = 12
SETTLED_S = 5_000.0


class Chaos:
    """Decides, step by step, what goes wrong next; and counts it."""

    def __init__(self, seed, figures):
        self.random = random.Random(seed)
        self.figures = figures
        self.is_on = True
        self.server = FakeSkyPilot(
            is_queue_away=lambda: self.happens(0.06, "queue away"),
            is_list_away=lambda: self.happens(0.06, "request list away"),
            keeps_metadata=self.random.random() > 0.15,
            latency_s=lambda: self.random.uniform(0.1, 4.0),
        )
        self.store = None
        self.kill_at = 0
        self.is_nested = False

    def happens(self, probability, name):
        if not self.is_on or self.random.random() >= probability:
            return False
        self.figures[name] += 1
        return True

    def fate(self, submission):
        """Choose what becomes of a launch."""
        uniform = self.random.uniform
        takes_s = self.random.choice([1.0, 5.0, uniform(10, 60), uniform(200, 700)])
        fates = {
            "fine": Fate(takes_s=takes_s),
            "refused": Fate(takes_s=1.0, makes="refusal"),
            "made and failed": Fate(takes_s=takes_s, makes="both"),
            "overloaded": OVERLOADED,
            "overloaded, and made": replace(OVERLOADED, makes="both"),
            "no quota": NO_QUOTA,
            "answer dropped": Fate(takes_s=takes_s, answer_s=uniform(0.2, 10)),
            "never arrived": Fate(arrives_s=None, answer_s=uniform(0.2, 10)),
            "arrived late": Fate(arrives_s=uniform(5, LATE_S), answer_s=1.0, takes_s=takes_s),
            "restart, job late": Fate(takes_s=takes_s, makes="late job", late_s=uniform(0, LATE_S)),
            "restart, late and unheard": Fate(takes_s=takes_s, makes="late job", late_s=LATE_S, answer_s=1.0),
            "restart, forgotten": Fate(takes_s=takes_s, makes="nothing", answer_s=takes_s + 1),
            "nobody listens": Fate(is_away=True),
            "hung, never sent": Fate(arrives_s=None),
        }
        weights = [6, 1, 1, 1, 1, 0.5, 2, 1, 1, 1, 1, 1, 0.5, 0.25]
        name = self.random.choices(list(fates), weights)[0] if self.is_on else "fine"
        self.figures[f"launch: {name}"] += 1
        return fates[name]

    def step(self, name):
        """Stand between two steps of the code: it may be killed here, or others come in between."""
        if not self.is_on or self.is_nested:
            return
        self.kill_at -= 1
        if self.kill_at == 0:
            self.figures[f"killed {name}"] += 1
            raise Killed
        if self.happens(0.03, "second launcher"):
            self.nested(self.try_second_launcher)
        if self.happens(0.04, "poll in between") and "poll lock" not in name:
            self.nested(self.poll)

    def nested(self, do):
        self.is_nested = True
        try:
            do()
        finally:
            self.is_nested = False

    def try_second_launcher(self):
        with pytest.raises(LockTaken):
            launch(self.store, self.server)

    def poll(self):
        """Do what a poll does to a manifest; what else it stores, launching never reads."""
        with suppress(QueueError):
            attach_jobs(StoredExperiment(self.store), SkyPilotQueue(self.server).read(), source="sky")


class ChaoticSubmitter(FakeSubmitter):
    def __init__(self, chaos):
        super().__init__(chaos.server, chaos.fate)
        self.chaos = chaos

    def submit(self, submission):
        self.chaos.step("after the intent, before the launch")
        super().submit(submission)
        self.chaos.step("after the launch left")

    def outcome(self, *, timeout_s):
        self.chaos.step("while waiting for an answer")
        found = super().outcome(timeout_s=timeout_s)
        if found is not None:
            self.chaos.step("after an answer, before its result is written")
        return found

    def in_flight(self):
        self.chaos.step("before the look at what is in flight")
        return super().in_flight()


class ChaoticQueue(SkyPilotQueue):
    def __init__(self, chaos):
        super().__init__(chaos.server)
        self.chaos = chaos

    def read(self, while_waiting=None):
        self.chaos.step("between the two looks (poll lock)")
        return super().read(while_waiting)


@pytest.fixture
def wrap(monkeypatch):
    """Put a step before and behind each write of the code that launches."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a killed process loses nothing that it wrote
    current = []

    def around(module, name, what):
        inner = getattr(module, name)

        def stepping(store, *arguments, **named):
            chaos = current[-1]
            chaos.step(f"before {what}")
            if what.endswith("intent") and chaos.happens(0.02, "torn line of the audit"):
                with store.events.open("ab") as file:
                    file.write(b'{"at":"2026-03-22T05:00:00Z","event":"launch_int')
                raise Killed
            inner(store, *arguments, **named)
            chaos.step(f"after {what}")

        monkeypatch.setattr(module, name, stepping)

    around(fmon.launch.dispatcher, "write_intent", "the intent")
    around(fmon.launch.dispatcher, "write_result", "the result")
    around(fmon.manifest.file, "write_manifest", "the manifest (poll lock)")
    return current


def run_once(chaos, attempts):
    """Run the launcher in a new process, so to say; tell whether it did all it had to."""
    submitter = ChaoticSubmitter(chaos)
    chaos.kill_at = chaos.random.randint(1, 45) if chaos.is_on else 0
    try:
        done = launch(chaos.store, chaos.server, submitter, attempts, queue=ChaoticQueue(chaos))
    except Killed:
        submitter.die(lambda: chaos.happens(0.5, "killed before it was sent"))
        return False
    except QueueError:
        return False
    finally:
        chaos.figures["runs"] += 1
    places = (done.launched, done.found, done.queued, done.failed, done.uncertain, done.left)
    assert sorted(condition for place in places for condition in place) == sorted(
        attempt.condition_id for attempt in attempts
    )
    return not (done.failed or done.has_queued)


def run_until_done(chaos, attempts):
    """Launch again and again: at first all goes wrong, in the end nothing any more."""
    chaos.is_on = True
    for _ in range(chaos.random.randint(1, 5)):
        run_once(chaos, attempts)
        chaos.server.pass_time(chaos.random.choice([0.0, 1.0, 20.0, 130.0, 400.0]))
    chaos.is_on = False
    for _ in range(MAX_RUNS):
        if run_once(chaos, attempts):
            return
    raise AssertionError("never done")


def trial(folder, seed, figures, current):
    chaos = Chaos(seed, figures)
    current.append(chaos)
    store = chaos.store = make_store(folder)
    server = chaos.server
    if not server.keeps_metadata:
        figures["trials without metadata"] += 1
    run_until_done(chaos, all_of(store))
    chosen = [LaunchKey(each.condition_id, 1) for each in all_of(store) if chaos.random.random() < 0.6]
    server.pass_time(SETTLED_S)
    for job in server.jobs:
        job.update(status="FAILED", end_at=server.clock().timestamp())
    run_until_done(chaos, chosen)
    server.pass_time(SETTLED_S)
    check(store, server, {*all_of(store), *chosen}, figures)


def check(store, server, wanted, figures):
    """Count the jobs of each condition and cycle on the server, and hold the manifest against them."""
    jobs = launched_jobs(server)
    assert {key: len(ids) for key, ids in jobs.items()} == dict.fromkeys(wanted, 1)
    figures["jobs"] += len(server.jobs)
    for entry in read_manifest(store).jobs:
        cycle = max(cycle for condition, cycle in wanted if condition == entry.condition)
        assert (entry.job_id, entry.relaunch_batch) == (jobs[entry.condition, cycle][0], cycle)
        assert [each.job_id for each in entry.attempts] == [jobs[entry.condition, 0][0]] * cycle


@pytest.mark.slow
def test_jobs_are_launched_exactly_once_per_condition_and_cycle(tmp_path, wrap):
    figures = Counter()
    for seed in range(TRIALS):
        try:
            trial(tmp_path / str(seed), seed, figures, wrap)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    figures |= {"trials": TRIALS, "duplicates": 0, "skipped": 0}
    faults = {name: count for name, count in figures.items() if name.startswith(("killed", "launch: "))}
    figures["kills"] = sum(count for name, count in figures.items() if name.startswith("killed "))
    print(*(f"\n{name}: {count}" for name, count in sorted(figures.items())))
    assert len([name for name in figures if name.startswith("killed ")]) >= 12
    assert min(faults.values()) >= 5, faults
