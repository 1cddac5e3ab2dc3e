"""Record data/demo again: launch its grid on a real SkyPilot, let ``fmon record`` watch, scrub what it wrote.

    .venv/bin/python -m tests.e2e.record_demo          about 15 minutes, as root (see docs/testing.md)

While the jobs run it does to them what happens to real ones: it takes one machine away, cancels
the job that stalls, and stops the API server for a while.
"""

from __future__ import annotations

import getpass
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from fmon.config import load_experiment
from fmon.model import Condition, level_text
from tests.e2e.real_sky import TERMINAL, RealSky

DEMO = Path(__file__).parents[2] / "data/demo"
AT_ONCE = 4
PREEMPTED = "segresnet-dice_ce-f0"
STALLED = "segresnet-dice_ce_cldice-f2"
STALL_S = 215
"""Longer than the overrun alarm of a segresnet takes (3 x 60 s), so that the demo shows the alarm first."""
SERVER_DOWN_AFTER = 9
SERVER_DOWN_S = 25
LIMIT_S = 3000


def main() -> None:
    """Bring SkyPilot up, run and record the grid, put the scrubbed recording into data/demo."""
    sky = RealSky(Path(tempfile.gettempdir()) / "fmon-realsky")
    sky.up()
    raw = Path(tempfile.mkdtemp(prefix="fmon-demo-"))
    run = Run(sky, raw)
    try:
        run.drive()
        run.recorder.wait(timeout=900)  # it fetches the logs
    finally:
        run.recorder.kill()
    publish(raw, Scrubber(sky))


class Run:
    """The run of the grid: looks only at what the recorder wrote, so that it adds no load of its own."""

    def __init__(self, sky: RealSky, raw: Path) -> None:
        self.sky = sky
        self.queue = raw / "queue.jsonl"
        self.waiting = list(order(load_experiment(DEMO / "experiment.yaml").conditions))
        self.launched = 0
        self.due = {"preempt", "stall", "server"}
        self.recorder = self.record()

    def record(self) -> subprocess.Popen[bytes]:
        """Start ``fmon record``, the command that a user would use; it carries a recording on."""
        fmon = str(Path(sys.executable).with_name("fmon"))
        command = [fmon, "record", str(DEMO / "experiment.yaml"), "--out-dir", str(self.queue.parent)]
        return subprocess.Popen([*command, "--interval", "10"], env=self.sky.env)

    def drive(self) -> None:
        """Launch, disturb and wait until every job has ended."""
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until:
            jobs = self.newest()
            is_open = [job for job in jobs if not job["status"].startswith(TERMINAL)]
            if not self.waiting and len(jobs) == self.launched and not is_open:
                return
            if self.recorder.poll() is not None:
                self.recorder = self.record()  # for a moment none was open
            self.disturb(jobs, is_open)
            ended = len(jobs) - len(is_open)
            calm = "server" in self.due and ended >= SERVER_DOWN_AFTER and is_open
            if not calm and len(jobs) == self.launched and len(is_open) < AT_ONCE:
                self.launch(AT_ONCE - len(is_open))
            time.sleep(3)
        raise AssertionError(f"not done within {LIMIT_S} s; still to launch: {len(self.waiting)}")

    def newest(self) -> list[dict[str, Any]]:
        """Read the jobs of the newest poll that the queue answered."""
        lines = self.queue.read_text().splitlines() if self.queue.exists() else []
        polls = [json.loads(line) for line in lines]
        return next((poll["jobs"] for poll in reversed(polls) if "jobs" in poll), [])

    def launch(self, count: int) -> None:
        """Submit the next conditions."""
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        task = yaml.safe_load((DEMO / "train.yaml").read_text())
        if batch:
            ids = self.sky.launch([of_condition(task, condition) for condition in batch])
            say(f"launched {dict(zip([condition.job_name for condition in batch], ids, strict=True))}")
        self.launched += len(batch)

    def disturb(self, jobs: list[dict[str, Any]], is_open: list[dict[str, Any]]) -> None:
        """Do the one thing that is due now, if any."""
        running = {
            job["job_name"]: time.time() - job["start_at"] for job in is_open if job["status"] == "RUNNING"
        }
        if "preempt" in self.due and running.get(PREEMPTED, 0) > 15:
            self.due.remove("preempt")
            self.sky.preempt(PREEMPTED)
            say(f"took the machine of {PREEMPTED} away")
        elif "stall" in self.due and running.get(STALLED, 0) > STALL_S:
            self.due.remove("stall")
            self.sky.cancel(next(job["job_id"] for job in is_open if job["job_name"] == STALLED))
            say(f"cancelled {STALLED}")
        elif (
            "server" in self.due
            and len(jobs) - len(is_open) >= SERVER_DOWN_AFTER
            and len(running) == len(is_open)
        ):
            self.due.remove("server")
            self.sky.down()
            time.sleep(SERVER_DOWN_S)
            self.sky.up()
            say("API server was down and is up again")


def order(conditions: list[Condition]) -> list[Condition]:
    """Submit in the order of the folds, the stalling one early: it takes longest."""
    return sorted(
        conditions, key=lambda condition: (condition.job_name != STALLED, condition.factors["fold"])
    )


def of_condition(task: dict[str, Any], condition: Condition) -> dict[str, Any]:
    """Make the task of one condition: one env var per factor, as fmon sets them."""
    envs = {factor.upper(): level_text(level) for factor, level in condition.factors.items()}
    zero_shot = {"ZERO_SHOT": "true"} if condition.kind == "baseline" else {}
    return {**task, "name": condition.job_name, "envs": {**task["envs"], **envs, **zero_shot}}


class Scrubber:
    """Takes this machine out of a text: its folders, its users, its name."""

    def __init__(self, sky: RealSky) -> None:
        root = re.escape(str(sky.root))
        self.job_user = re.search(r"User (\S+)", (sky.root / "home/.slurm/config").read_text())[1]  # type: ignore[index]
        self.user_hash = (sky.root / "home/.sky/user_hash").read_text().strip()
        self.private = [str(sky.root), self.job_user, self.user_hash, str(Path.home()), sky.endpoint]
        self.rules = [
            (rf"{root}/jobhome/\.sky_clusters/[^/\s]+", "/home/researcher"),
            (rf"{root}/jobvenv", "/opt/venv"),
            (rf"{root}/jobhome", "/home/researcher"),
            (rf"{root}/home", "/home/sky"),
            (rf"{root}/venv", "/opt/sky"),
            (root, "/srv/sky"),
            (rf"\b{sky.endpoint.rpartition(':')[2]}\b", "46580"),
            (self.job_user, "researcher"),
            (self.user_hash, "5ca1ab1e"),
            (rf"\b{re.escape(socket.gethostname())}\b", "node1"),
            (rf"\b{getpass.getuser()}\b", "researcher"),
        ]

    def scrub(self, text: str) -> str:
        """Replace; then make sure that nothing is left."""
        for pattern, plain in self.rules:
            text = re.sub(pattern, plain, text)
        left = [word for word in self.private if word in text]
        left += re.findall(
            r"PRIVATE KEY|ssh-[a-z0-9]+ AAAA\S+|\b(?!127\.0\.0\.1|0\.0\.0\.0)\d+\.\d+\.\d+\.\d+\b|/root\b",
            text,
        )
        assert not left, f"not scrubbed: {left}"
        return text


def publish(raw: Path, scrubber: Scrubber) -> None:
    """Put the recorded polls and logs, scrubbed, in the place of the old ones."""
    shutil.rmtree(DEMO / "logs", ignore_errors=True)
    (DEMO / "logs").mkdir(parents=True)
    for path in [raw / "queue.jsonl", *sorted((raw / "logs").iterdir())]:
        target = DEMO / path.relative_to(raw)
        target.write_text(scrubber.scrub(path.read_text(errors="replace")))
    total = sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file())
    assert total < 1_000_000, f"the recording has {total} bytes, more than 1 MB"
    say(f"{DEMO}: {total} bytes")


def say(sentence: str) -> None:
    """Tell what happens, with the clock."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)


if __name__ == "__main__":
    main()
