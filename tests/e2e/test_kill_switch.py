"""The kill switch on a real SkyPilot: one level dies in setup, what waits at it is cancelled, the rest ends.

Three jobs of the level die of the identical error. Two more of it wait for a machine as large as all that
there is; a job of the other level runs until the two are cancelled, so nothing waits or runs by chance.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fmon.store.folder import stores
from tests.e2e.real_sky import FMON, RESOURCES, RealSky
from tests.support.events import written_events
from tests.support.world import write_config

pytestmark = pytest.mark.real

CONFIG = """\
experiment_name: burst
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2, 3, 4]}
exclude:
  - {model: dynunet, fold: 1}
  - {model: dynunet, fold: 2}
  - {model: dynunet, fold: 3}
  - {model: dynunet, fold: 4}
kill_switch: act
"""
SETUP = "echo 'ERROR: No matching distribution found for mamba-ssm==9' >&2; exit 1"
FAILED = [f"sam3-{fold}" for fold in range(3)]
WAITING = ["sam3-3", "sam3-4"]
OTHERS = ["dynunet-0"]
WHOLE_MACHINE = {**RESOURCES, "accelerators": "H100:16"}
NOT_ALL_SUCCEEDED = 4
LIMIT_S = 600


@dataclass
class Story:
    """What happened, for the tests to ask."""

    watched: subprocess.CompletedProcess[str] | None = None
    events: list[dict] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, dict] = field(default_factory=dict)
    relaunch: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(realsky: RealSky, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("burst")
    write_config(
        folder, CONFIG, "resources: {infra: slurm/demo, cpus: 1+, accelerators: 'H100:1'}\nrun: 'true'\n"
    )
    may_end = realsky.root / "jobhome" / "may_end"
    may_end.unlink(missing_ok=True)
    told = Story()
    first = [
        *({"name": name, "run": f"until [ -e {may_end} ]; do sleep 1; done"} for name in OTHERS),
        *({"name": name, "setup": SETUP, "run": "true"} for name in FAILED),
    ]
    later = [{"name": name, "run": "true", "resources": WHOLE_MACHINE} for name in WAITING]
    try:
        ids = realsky.launch(first)
        realsky.wait(ids[1:], timeout=LIMIT_S)
        realsky.wait(ids[:1], ("RUNNING",), timeout=LIMIT_S)
        ids += realsky.launch(later)
        told.ids = dict(zip([*OTHERS, *FAILED, *WAITING], ids, strict=True))
        fmon(realsky, folder, "adopt", "experiment.yaml")
        watch = subprocess.Popen(
            [FMON, "watch", "--interval", "10", "--exit-status"],
            cwd=folder, env=realsky.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            wait_for_event(folder, "cancel")
            may_end.touch()
            out, err = watch.communicate(timeout=LIMIT_S)
        finally:
            watch.kill()
        told.watched = subprocess.CompletedProcess(watch.args, watch.returncode, out, err)
        told.events = written_events(stores(folder / "data")[0])
        told.statuses = {record["job_name"]: record["status"] for record in realsky.queue()}
        rows = json.loads(fmon(realsky, folder, "sql", "select * from condition", "-o", "json"))
        told.conditions = {row["condition_id"]: row for row in rows}
        listed = fmon(
            realsky, folder, "sql", "select condition_id from relaunch_candidate order by 1", "-o", "json"
        )
        told.relaunch = [row["condition_id"] for row in json.loads(listed)]
        yield told
    finally:
        may_end.touch()


def fmon(sky: RealSky, folder: Path, *arguments: str) -> str:
    done = sky.fmon(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for_event(folder: Path, kind: str) -> None:
    until = time.monotonic() + LIMIT_S
    while not any(event["event"] == kind for event in written_events(stores(folder / "data")[0])):
        assert time.monotonic() < until, f"no {kind} in {written_events(stores(folder / 'data')[0])}"
        time.sleep(1)


def events(story: Story, kind: str) -> list[dict]:
    return [event for event in story.events if event["event"] == kind]


def test_the_three_failures_fire_once_and_blame_their_level(story):
    (firing,) = events(story, "kill_switch")
    assert firing["member_job_ids"] == sorted(story.ids[name] for name in FAILED)
    assert firing["combination"] == {"model": "sam3"}
    assert firing["candidate_job_ids"] == sorted(story.ids[name] for name in WAITING)


def test_watch_cancels_what_waits_at_the_level_and_sees_it_go(story):
    waiting = sorted(story.ids[name] for name in WAITING)
    (begin,), (end,) = events(story, "cancel_requested"), events(story, "cancel")
    assert (begin["job_ids"], begin["reason"]) == (waiting, "kill_switch")
    assert (end["job_ids"], end["left_job_ids"]) == (waiting, [])
    assert {story.statuses[name] for name in WAITING} == {"CANCELLED"}


def test_the_other_level_ends_well(story):
    assert {story.statuses[name] for name in OTHERS} == {"SUCCEEDED"}


def test_watch_goes_on_until_nothing_is_open(story):
    assert story.watched.returncode == NOT_ALL_SUCCEEDED, story.watched.stderr
    assert "the kill switch acted" in story.watched.stdout
    states = {name: row["state"] for name, row in story.conditions.items()}
    assert states == {
        **dict.fromkeys(OTHERS, "succeeded"),
        **dict.fromkeys(FAILED, "failed"),
        **dict.fromkeys(WAITING, "cancelled"),
    }


def test_the_cancelled_are_to_be_run_again_with_the_failed(story):
    assert story.relaunch == sorted([*FAILED, *WAITING])
