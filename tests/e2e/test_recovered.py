"""A real job that failed, was called ended, and is recovered by hand; while it runs again, it hangs.

One story. The experiment is reopened, nothing is launched beside the job, ``fmon logs`` shows what has
arrived of its new log, and in the end its success counts.
"""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fmon import connect
from tests.e2e.early import AGAIN, AGAIN_FOLDER
from tests.e2e.real_sky import RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

CONFIG = f"""\
experiment_name: recovered
skypilot_yaml: train.yaml
factors: {{name: [{AGAIN}]}}
job_name: "{{name}}"
"""
TASK = "resources: {infra: slurm/demo, accelerators: 'H100:1'}\nrun: 'true'\n"
STATE = "select state, status, category from condition"
ALARMS = "select message, cleared_at from alarm where kind = 'reopened'"
F1_REFUSED = 21
LIMIT_S = 600
LOGS = {
    "now": (),
    "tail": ("--tail", "1"),
    "limited": ("--follow", "--timeout", "30"),
    "followed": ("--follow",),
}


@dataclass
class Story:
    """What happened: what commands said by name of the step, and what the views showed."""

    job_id: int
    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(
    realsky: RealSky, early: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("recovered")
    write_config(folder, CONFIG, TASK)
    told = Story(early[AGAIN])
    user = (realsky.root / "jobhome").owner()
    may_end = Path(AGAIN_FOLDER.format(user=user, job_id=told.job_id), "may_end")
    realsky.wait([told.job_id], timeout=LIMIT_S)
    try:
        tell(told, realsky, folder, may_end)
        yield told
    finally:
        may_end.touch()


def tell(story: Story, sky: RealSky, folder: Path, may_end: Path) -> None:
    def fmon(step: str, *args: str) -> None:
        story.said[step] = sky.fmon(folder, *args)

    def look(step: str, query: str) -> None:
        story.rows[step] = connect(folder / "data").execute(query).fetchall()

    fmon("adopt", "adopt", "experiment.yaml")
    fmon("poll of the failure", "poll")
    look("failed", STATE)
    sky.resume(story.job_id)
    fmon("poll of the recovery", "poll")
    look("reopened", STATE)
    look("alarms", ALARMS)
    fmon("relaunch", "relaunch", "--dry-run")
    sky.wait([story.job_id], ("RUNNING",), timeout=LIMIT_S)
    with ThreadPoolExecutor(len(LOGS)) as pool:
        logs = {step: pool.submit(fmon, f"logs {step}", "logs", AGAIN, *args) for step, args in LOGS.items()}
        for step in ("now", "tail", "limited"):
            logs[step].result()
        may_end.touch()
    sky.wait([story.job_id], timeout=LIMIT_S)
    fmon("poll of the success", "poll")
    look("ended", STATE)
    look("alarms at the end", ALARMS)


def test_an_experiment_is_reopened_when_its_failed_job_runs_again(story: Story) -> None:
    assert story.said["adopt"].returncode == 0, story.said["adopt"].stderr
    assert story.rows["failed"] == [("failed", "FAILED", "code_bug")]
    told = story.said["poll of the recovery"].stderr
    assert f"had ended, but job {story.job_id} is open: reopened" in told
    assert story.rows["reopened"] == [("running", "RECOVERING", None)]
    ((message, cleared_at),) = story.rows["alarms"]
    assert "had ended as FAILED and is RECOVERING again" in message
    assert cleared_at is None


def test_a_condition_whose_own_job_is_open_again_is_not_relaunched(story: Story) -> None:
    assert story.said["relaunch"].returncode == F1_REFUSED, story.said["relaunch"].stderr
    assert f"{AGAIN} (job {story.job_id}, " in story.said["relaunch"].stderr


def test_the_log_of_a_job_that_hangs_shows_what_has_arrived(story: Story) -> None:
    assert story.said["logs now"].returncode == 0, story.said["logs now"].stderr
    assert program_lines(story, "now") == ["epoch 1", "epoch 2"]
    assert f"log of job {story.job_id} ({AGAIN}), live" in story.said["logs now"].stderr


def test_the_tail_of_the_log_of_a_job_that_hangs_ends_with_what_it_printed_last(story: Story) -> None:
    assert story.said["logs tail"].returncode == 0, story.said["logs tail"].stderr
    assert story.said["logs tail"].stdout.split("\n")[0] == "epoch 2"


def test_following_a_job_that_hangs_stops_when_the_time_is_up_with_what_has_arrived(story: Story) -> None:
    done = story.said["logs limited"]
    assert done.returncode == 0, done.stderr
    assert program_lines(story, "limited") == ["epoch 1", "epoch 2"]
    assert f"stopped after 30 s; the log of job {story.job_id} may continue" in done.stderr


def test_following_a_job_continues_until_it_has_ended(story: Story) -> None:
    done = story.said["logs followed"]
    assert done.returncode == 0, done.stderr
    assert program_lines(story, "followed") == ["epoch 1", "epoch 2", "all done"]
    assert f"job {story.job_id} has ended: SUCCEEDED" in done.stderr


def program_lines(story: Story, step: str) -> list[str]:
    """Return what the program printed, without the lines that SkyPilot adds."""
    return [
        line
        for line in story.said[f"logs {step}"].stdout.splitlines()
        if line.startswith(("epoch", "all", "Key"))
    ]


def test_the_later_success_counts(story: Story) -> None:
    assert story.rows["ended"] == [("succeeded", "SUCCEEDED", None)]
    ((_, cleared_at),) = story.rows["alarms at the end"]
    assert cleared_at is not None
