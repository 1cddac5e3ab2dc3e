"""A project, a fake SkyPilot, and the stores of what was launched from the one on the other."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fmon.config import load_experiment
from fmon.diagnose.diagnose import Diagnosis, diagnose
from fmon.launch.arguments import LaunchDependencies, LaunchOptions
from fmon.launch.dry_run import dry_run
from fmon.launch.launch import Launched, launch
from fmon.launch.limits import DispatchLimits
from fmon.manifest.build import new_manifest
from fmon.manifest.file import write_manifest
from fmon.monitor.poll import poll
from fmon.sky.reader import LogRequest
from fmon.store.folder import Store, stores
from fmon.study import Study, open_study
from tests.support.events import written_events
from tests.support.fake_skypilot import FINE, START, FakeSkyPilot, FakeSubmitter, Fate, SkyPilotQueue
from tests.support.queues import FakeLogs
from tests.support.typed import FakeServices, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from click.testing import Result

    from fmon.clock import Clock
    from fmon.sky.prices import Catalog
    from fmon.sky.submit.submitter import Submission

CONFIG = """\
experiment_name: small
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], loss: [dice_ce, dice_ce_cldice]}
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
TASK = """\
resources: {image_id: 'docker:x:1', accelerators: L4}
envs: {MODEL: null, LOSS: null}
run: python train.py
"""
CONDITIONS = ("dynunet-dice_ce", "dynunet-dice_ce_cldice", "sam3-dice_ce", "sam3-dice_ce_cldice")
DIGEST = "sha256:" + "a" * 64
BUG = "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\nKeyError: 'lora'\n"
RUN_S = 600.0
"""A job's time with its machine: 0.06 USD at 0.36 USD/h."""
PACE = DispatchLimits(parallel=3, per_minute=120, retries=2, backoff_s=10)


def write_config(folder: Path, text: str = CONFIG, task: str = TASK) -> Path:
    """Write a config and its task YAML; return the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.yaml").write_text(task)
    config = folder / "experiment.yaml"
    config.write_text(text)
    return config


def new_store(config: Path, data: Path, *, is_replay: bool = False, digest: str | None = None) -> Store:
    """Make the store of a config's experiment: its manifest, no job yet."""
    experiment = load_experiment(config)
    store = Store(data / f"{experiment.experiment_name}-{START:%Y%m%dT%H%M%SZ}")
    manifest = new_manifest(
        experiment,
        store.experiment_id,
        created_at=START,
        is_replay=is_replay,
        prices=experiment.prices,
        since=START,
    )
    manifest.docker_digest = digest
    write_manifest(store, manifest)
    return store


def files_of(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, but for locks and git's own."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = (path for path in found if ".git" not in path.parts and ".lock" not in path.name)
    return {path.as_posix(): (folder / path).read_bytes() for path in kept}


class World:
    """A project with a config, SkyPilot's server, the registry, and the clock of them all."""

    def __init__(
        self, root: Path, config: str = CONFIG, task: str = TASK, server: FakeSkyPilot | None = None
    ) -> None:
        self.root = root
        self.project = root / "project"
        self.data = root / "data"
        self.server = server or FakeSkyPilot()
        self.logs = FakeLogs()
        self.fate: Callable[[Submission], Fate] = lambda submission: FINE
        self.digest: str | Exception = DIGEST
        self.catalog: Catalog = lambda names: {}
        self.environ: Mapping[str, str] = {}
        self.submitters: list[FakeSubmitter] = []
        self.answers: list[bool] | None = None
        self.asked: list[str] = []
        self.parsed: list[tuple[str, ...]] = []
        self._made_of = config, task
        self.write()

    def write(self, config: str | None = None, task: str | None = None) -> None:
        """Write config and task YAML; None = as the world was made."""
        self.config = write_config(self.project, config or self._made_of[0], task or self._made_of[1])
        self.task = self.project / "train.yaml"

    # What fmon is given

    @property
    def clock(self) -> Clock:
        """The server's clock."""
        return self.server.time

    @property
    def queue(self) -> SkyPilotQueue:
        """The server's queue."""
        return SkyPilotQueue(self.server)

    def open_submitter(self, hold: object = None) -> FakeSubmitter:
        """Open a client that launches; ``fate`` says what becomes of each launch."""
        self.submitters.append(FakeSubmitter(self.server, lambda submission: self.fate(submission)))
        return self.submitters[-1]

    def digest_of(self, image: str) -> str:
        """Answer for the registry."""
        if isinstance(self.digest, Exception):
            raise self.digest
        return self.digest

    def dependencies(self, **changes: Any) -> LaunchDependencies:
        """Return what a launch needs."""
        return LaunchDependencies(
            open_submitter=self.open_submitter,
            queue=self.queue,
            digest_of=self.digest_of,
            catalog=self.catalog,
            environ=self.environ,
            folder=self.project,
            clock=self.server.time,
            ask=self.ask,
            **changes,
        )

    # What happens

    def type(self, *words: object, **options: Any) -> Result:
        """Type a command that meets this world."""
        return typed(FakeServices(self), *words, **options)

    def seat(self, *answers: bool) -> list[str]:
        """Let somebody sit at the terminal who gives these answers; the list gets the questions."""
        self.answers, self.asked = list(answers), []
        return self.asked

    def launch(self, **options: Any) -> Launched:
        """Launch as the command does."""
        wished = LaunchOptions(by="ada", **options)
        return launch(self.config, self.data, self.dependencies(), wished)

    def dry_run(self, **options: Any) -> Launched:
        """Show what a launch would do."""
        return dry_run(self.config, self.data, self.dependencies(), LaunchOptions(by="ada", **options))

    def ask(self, command: str, *arguments: str) -> int:
        """Accept every task YAML, as SkyPilot's parser does."""
        self.parsed.append((command, *arguments))
        return 1

    def poll(self, *, is_examined: bool = True) -> None:
        """Poll, and examine what failed."""
        self.server.pass_time(60)
        logs = self.logs if is_examined else None
        done = poll(self.data, self.queue, [self.store.experiment_id], now=self.server.clock(), logs=logs)
        assert not done.error
        assert not done.faults

    def diagnose(self) -> Diagnosis:
        """Gather all failures."""
        self.server.pass_time(60)
        return diagnose(self.study, logs=self.logs, now=self.server.clock())

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
                self.logs.texts[LogRequest(job["job_id"])] = log
        self.poll(is_examined=is_examined)

    # What there is

    @property
    def stores(self) -> list[Store]:
        """The experiments."""
        return stores(self.data)

    @property
    def store(self) -> Store:
        """The newest experiment."""
        return self.stores[-1]

    @property
    def study(self) -> Study:
        """The newest experiment as it is now."""
        return open_study(self.data, self.store.experiment_id)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The events of some kinds."""
        return written_events(self.store, *kinds)

    def open_jobs(self) -> list[dict[str, Any]]:
        """The jobs that have not ended."""
        return [job for job in self.server.jobs if job["status"] in ("PENDING", "STARTING", "RUNNING")]

    def launched(self, cycle: int) -> list[str]:
        """The conditions that have a job of a cycle, one entry a job."""
        return sorted(tags["condition"] for tags in self.server.tags.values() if tags.get("cycle") == cycle)

    def jobs(self) -> list[dict[str, Any]]:
        """What the server has, as it is now."""
        return [dict(job) for job in self.server.jobs]

    def files(self) -> dict[str, bytes]:
        """Every file of the project and the stores."""
        return files_of(self.root)

    @contextmanager
    def refused(self, error: type[Exception], match: str) -> Iterator[None]:
        """Nothing is launched, no experiment made, and nothing of one changed but for one more poll."""
        files, jobs = self.files(), json.dumps(self.server.jobs)
        with pytest.raises(error, match=match):
            yield
        changed = {Path(name) for name, content in self.files().items() if files.get(name) != content}
        assert {path.name for path in changed if path.parent.name != "log"} <= {"state.parquet", "unchecked"}
        assert json.dumps(self.server.jobs) == jobs
