"""A study in a git repository, launched on the fake SkyPilot, to fail, be fixed and be run again."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from fmon.config import load_experiment
from fmon.diagnose.diagnose import diagnose
from fmon.launch.launch import LaunchDependencies
from fmon.manifest.build import new_manifest
from fmon.manifest.file import write_manifest
from fmon.monitor.poll import poll
from fmon.relaunch.plan import Authorization
from fmon.relaunch.relaunch import Relaunched, RelaunchOptions, relaunch
from fmon.sky.reader import LogAsk
from fmon.store.folder import Store
from fmon.study import Study, open_study
from tests.support.dispatching import PACE, launch
from tests.support.events import written_events
from tests.support.fake_skypilot import START, FakeSkyPilot, FakeSubmitter, SkyPilotQueue
from tests.support.queues import FakeLogs

if TYPE_CHECKING:
    from collections.abc import Collection

IMAGE = "registry.example/study:v1"
CONFIG = f"""\
experiment_name: small
skypilot_yaml: train.yaml
docker_image: {IMAGE}
factors: {{model: [dynunet, sam3], loss: [dice_ce, dice_ce_cldice]}}
prices: {{L4: {{spot: 0.36, on_demand: 0.36}}}}
verify: {{tests: test -f fixed}}
"""
TASK = f"resources: {{accelerators: L4}}\nenvs: {{IMAGE: {IMAGE}}}\nrun: python train.py\n"
CONDITIONS = ("dynunet-dice_ce", "dynunet-dice_ce_cldice", "sam3-dice_ce", "sam3-dice_ce_cldice")
BUG = "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\nKeyError: 'lora'\n"
OUTAGE = (
    "requests.exceptions.ConnectionError: HTTPSConnectionPool: Max retries exceeded: Connection refused\n"
)
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
OPTIONS = frozenset(RelaunchOptions.__dataclass_fields__)
RUN_S = 600.0
"""A job's time with its machine: 0.06 USD."""


class World:
    """The project, its store, the server, the registry and the clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "project" / "experiment.yaml"
        self.task = root / "project" / "train.yaml"
        self.task.parent.mkdir(parents=True)
        self.config.write_text(CONFIG)
        self.task.write_text(TASK)
        self.server = FakeSkyPilot()
        self.logs = FakeLogs()
        self.digest = OLD
        self.submitter = FakeSubmitter(self.server)
        self._git("init", "-q")
        self._commit("First", at=START - timedelta(days=1))
        self.store = Store(root / "data" / f"small-{START:%Y%m%dT%H%M%SZ}")
        experiment = load_experiment(self.config)
        manifest = new_manifest(
            experiment,
            self.store.experiment_id,
            created_at=START,
            is_replay=False,
            prices=experiment.prices,
            since=START,
        )
        manifest.docker_digest = OLD
        write_manifest(self.store, manifest)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.store.path.parent

    @property
    def study(self) -> Study:
        """The experiment as it is now."""
        return open_study(self.data)

    # What happens

    def launch(self) -> None:
        """Launch the first cycle."""
        launch(self.store, self.server, self.submitter)

    def end(
        self,
        failed: Collection[str] = (),
        *,
        log: str = BUG,
        status: str = "FAILED",
        running: Collection[str] = (),
        is_examined: bool = True,
    ) -> None:
        """Let fmon's open jobs run and end, those of ``failed`` with this log, but for ``running``; poll."""
        for job in self.open_jobs():
            job.update(status="RUNNING", start_at=self.server.clock().timestamp())
        self.server.pass_time(RUN_S)
        for job in self.open_jobs():
            condition = self.server.tags[job["job_id"]].get("condition")
            if condition is None or condition in running:
                continue
            has_failed = condition in failed
            job.update(
                status=status if has_failed else "SUCCEEDED",
                end_at=self.server.clock().timestamp(),
                job_duration=RUN_S,
            )
            if has_failed:
                self.logs.texts[LogAsk(job["job_id"])] = log
        self.poll(is_examined=is_examined)

    def poll(self, *, is_examined: bool = True) -> None:
        """Poll, and examine what failed."""
        self.server.pass_time(60)
        queue = SkyPilotQueue(self.server)
        logs = self.logs if is_examined else None
        done = poll(self.data, queue, [self.store.experiment_id], now=self.server.clock(), logs=logs)
        assert not done.error
        assert not done.faults

    def diagnose(self) -> None:
        """Gather all failures."""
        self.server.pass_time(60)
        diagnose(self.study, logs=self.logs, now=self.server.clock())

    def fix(self, digest: str = NEW) -> None:
        """Commit a fix, build and push the image."""
        self.server.pass_time(60)
        (self.root / "project" / "fixed").write_text(digest)
        self._commit("Fix the loss", at=self.server.clock())
        self.digest = digest

    def relaunch(self, **changes: Any) -> Relaunched:
        """Run again what the view lists."""
        self.server.pass_time(60)
        submitter = changes.pop("submitter", None) or FakeSubmitter(self.server)
        wished = {name: changes.pop(name) for name in OPTIONS & changes.keys()}
        dependencies = LaunchDependencies(
            open_submitter=lambda hold: submitter,
            queue=SkyPilotQueue(self.server),
            digest_of=changes.pop("ask", lambda reference: self.digest),
            environ=os.environ,
            folder=Path.cwd(),
            clock=self.server.time,
            limits=PACE,
        )
        agree = changes.pop("agree", lambda again: True)
        options = RelaunchOptions(by="ada", **wished)
        return relaunch(self.study, dependencies, agree=agree, options=options, **changes)

    def cycle(self, failed: Collection[str], number: int) -> None:
        """Diagnose, fix, run again and fail again."""
        self.diagnose()
        self.fix("sha256:" + str(number) * 64)
        self.relaunch()
        self.end(failed)

    # What there is

    def open_jobs(self) -> list[dict[str, Any]]:
        """The jobs that have not ended."""
        return [job for job in self.server.jobs if job["status"] in ("PENDING", "STARTING", "RUNNING")]

    def launched(self, cycle: int) -> list[str]:
        """The conditions that have a job of a cycle, one entry a job."""
        return sorted(tags["condition"] for tags in self.server.tags.values() if tags.get("cycle") == cycle)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return written_events(self.store, kind)

    def files(self) -> dict[str, bytes]:
        """Every file of the project and the stores."""
        found = [path for path in self.root.rglob("*") if path.is_file() and ".git" not in path.parts]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def jobs(self) -> list[dict[str, Any]]:
        """What the server has, as it is now."""
        return [dict(job) for job in self.server.jobs]

    def _git(self, *args: str, at: datetime = START) -> None:
        when = f"{int(at.timestamp())} +0000"
        dates = {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when, "GIT_CONFIG_GLOBAL": "/dev/null"}
        who = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
        subprocess.run(
            ["git", *who, *args],
            cwd=self.config.parent,
            check=True,
            env={**os.environ, **dates},
            capture_output=True,
        )

    def _commit(self, message: str, *, at: datetime) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message, at=at)


class Stage:
    """A world at a moment, to be had again and again at the same place: what led there takes seconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = Path(mkdtemp(dir=world.root.parent)) / "kept"
        shutil.copytree(world.root, self._kept)

    def again(self) -> World:
        """Go back to it."""
        shutil.rmtree(self._world.root)
        shutil.copytree(self._kept, self._world.root)
        world = copy.copy(self._world)
        world.server = self._world.server.copy()
        world.logs = FakeLogs(dict(self._world.logs.texts))
        world.submitter = FakeSubmitter(world.server)
        return world


def allowed(cycle: int, budget_usd: str = "5") -> Authorization:
    """Give a person's word for a cycle."""
    return Authorization(cycle, Decimal(budget_usd), "ada")
