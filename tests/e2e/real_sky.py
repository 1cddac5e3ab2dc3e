"""A real SkyPilot on this machine, for tests: brought up and down by the scripts in ``realsky/``.

Every call has a timeout; a call that fails shows what the command printed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "realsky"
CANNOT = 77
"""Exit code of up.sh where this machine can't run it."""

UP_S, DOWN_S, CALL_S = 900, 180, 300
FMON = str(Path(sys.executable).with_name("fmon"))
QUEUE_UNREACHABLE = 11
"""Exit code of fmon where the queue did not answer in time, as on two loaded cores it may not."""
RESOURCES = {"infra": "slurm/demo", "cpus": "1+", "accelerators": "H100:1"}
TERMINAL = ("SUCCEEDED", "CANCELLED", "FAILED")
"""What the names of SkyPilot's terminal statuses begin with."""


class CannotRunError(Exception):
    """This machine can't run a real SkyPilot; the message says why."""


class RealSky:
    """The server in one folder, and what tests do with it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def env(self) -> dict[str, str]:
        """The environment in which ``sky``, and any client of SkyPilot, finds this server."""
        # Settings of whoever runs the tests must not point to another server.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SKYPILOT", "FMON", "SLURM"))
        }
        script = f'. "{self.root}/env.sh" && env -0'
        done = subprocess.run(
            ["bash", "-c", script], env=kept, capture_output=True, text=True, timeout=20, check=True
        )
        return dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)

    @property
    def endpoint(self) -> str:
        """Where the API server listens."""
        return f"http://127.0.0.1:{self.env['SKYPILOT_API_SERVER_LOCAL_PORT']}"

    def is_up(self) -> bool:
        """Tell whether the API server answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/api/health", timeout=5) as answer:
                return answer.status == HTTPStatus.OK
        except OSError:
            return False

    def up(self) -> None:
        """Start what is not running; returns when the API server answers."""
        done = self._script("up.sh", timeout=UP_S)
        if done.returncode == CANNOT:
            raise CannotRunError(_last_line(done.stderr))
        if done.returncode:
            raise AssertionError(f"up.sh ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def down(self) -> None:
        """Stop the API server with its jobs controllers; the Slurm jobs go on."""
        self._script("down.sh", "--keep-jobs", timeout=DOWN_S, check=True)

    def purge(self) -> None:
        """Stop everything and forget all jobs."""
        self._script("down.sh", "--purge", timeout=DOWN_S, check=True)

    def sky(self, *args: str, timeout: float = CALL_S) -> str:
        """Run ``sky ARGS`` and give its stdout."""
        return self._run([str(self.root / "venv/bin/sky"), *args], timeout=timeout)

    def slurm(self, *args: str) -> str:
        """Run a Slurm command."""
        return self._run(list(args), timeout=30)

    def fmon(
        self, folder: Path, *args: str, tries: int = 3, timeout: float = CALL_S, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of fmon in a folder, as a user would: again where a busy server did not answer."""
        for _ in range(tries):
            done = subprocess.run(
                [FMON, *args],
                env=self.env | env, cwd=folder, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=timeout,
            )  # fmt: skip
            if done.returncode != QUEUE_UNREACHABLE:
                break
        return done

    def launch(self, tasks: list[dict[str, Any]], *, timeout: float = CALL_S) -> list[int]:
        """Submit managed jobs, each as in a task YAML (``resources`` may be left out); give their ids."""
        return [
            ids[0]
            for ids in self._sdk("launch", [{"resources": RESOURCES, **task} for task in tasks], timeout)
        ]

    def queue(self) -> list[dict[str, Any]]:
        """Every record of the queue as SkyPilot's SDK gives it."""
        records: list[dict[str, Any]] = self._sdk("queue", None, CALL_S)
        return records

    def cost(self) -> list[dict[str, Any]]:
        """SkyPilot's own costs, one row a cluster."""
        rows: list[dict[str, Any]] = self._sdk("cost", None, CALL_S)
        return rows

    def resume(self, job_id: int) -> None:
        """Let an ended job run again, as after an outage."""
        self._sdk("resume", job_id, CALL_S)

    def cancel(self, *job_ids: int) -> None:
        """Ask SkyPilot to cancel managed jobs."""
        self.sky("jobs", "cancel", "-y", *map(str, job_ids))

    def preempt(self, job_name: str) -> None:
        """Take the machine away from a running managed job, as a spot market would."""
        start = job_name.replace("_", "-") + "-"
        jobs = [line.split() for line in self.slurm("squeue", "-h", "-o", "%i %j").splitlines()]
        ids = [number for number, name in jobs if name.startswith(start)]
        assert ids, f"no Slurm job of {job_name}: {jobs}"
        self.slurm("scancel", *ids)

    def statuses(self) -> list[tuple[int, str]]:
        """Each task's job id and status, read in SkyPilot's own database.

        Asking the server takes it and its client five seconds of a CPU, which the jobs need.
        """
        with closing(sqlite3.connect(f"file:{self.root}/home/.sky/spot_jobs.db?mode=ro", uri=True)) as db:
            return db.execute("select spot_job_id, status from spot").fetchall()

    def wait(
        self, job_ids: list[int], statuses: tuple[str, ...] = TERMINAL, *, timeout: float
    ) -> list[dict[str, Any]]:
        """Wait until the status of each job begins with one of ``statuses``; give their records."""
        until = time.monotonic() + timeout
        while True:
            seen = [(job_id, status) for job_id, status in self.statuses() if job_id in job_ids]
            if len(seen) >= len(job_ids) and all(status.startswith(statuses) for _, status in seen):
                found = [record for record in self.queue() if record["job_id"] in job_ids]
                if all(record["status"].startswith(statuses) for record in found):
                    return found
            if time.monotonic() > until:
                raise AssertionError(f"not {statuses} within {timeout} s: {seen}")
            time.sleep(1)

    def _sdk(self, command: str, given: Any, timeout: float) -> Any:
        python = str(self.root / "venv/bin/python")
        printed = self._run(
            [python, str(SCRIPTS / "in_sky.py"), command], given=json.dumps(given), timeout=timeout
        )
        return json.loads(_last_line(printed))

    def _run(self, command: list[str], *, timeout: float, given: str | None = None) -> str:
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.root,
            input=given or "",
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _script(
        self, name: str, *args: str, timeout: float, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a script; its daemons outlive it and would hold pipes open, so its output goes to files."""
        self.root.mkdir(parents=True, exist_ok=True)
        out, err = self.root / f"{name}.out", self.root / f"{name}.err"
        with out.open("w") as stdout, err.open("w") as stderr:
            done = subprocess.run(
                ["bash", str(SCRIPTS / name), *args],
                env={**os.environ, "REALSKY": str(self.root), "PYTHON": sys.executable},
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, timeout=timeout,
            )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{name} ended with {done.returncode}:\n{out.read_text()}{err.read_text()}")
        return subprocess.CompletedProcess(done.args, done.returncode, out.read_text(), err.read_text())


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
