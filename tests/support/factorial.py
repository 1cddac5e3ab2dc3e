"""An experiment of 4 x 4 x 2 x 3 conditions made up for pictures: three causes, two cycles, a fix between.

Every poll goes through the same code as a live one; only the queue and the logs are made up. The same call
gives the same stores.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fmon.config import load_experiment
from fmon.errors import QueueError
from fmon.events import DiagnosedCause, DiagnosisEvent, FixEvent, FixVerifiedEvent, RelaunchEvent
from fmon.manifest.build import new_manifest
from fmon.manifest.file import read_manifest, write_manifest
from fmon.model import Attempt, Entry
from fmon.monitor.poll import poll
from fmon.sky.reader import Answer, JobSpec, LogRequest
from fmon.sky.record import parse_records
from fmon.store.events import append_event
from fmon.store.folder import Store
from fmon.warehouse import connect, rows
from tests.support.queues import FakeLogs
from tests.support.world import write_config

CONFIG = """\
experiment_name: vessel_losses
skypilot_yaml: train.yaml
factors:
  model_family: [dynunet, segresnet, swin_unetr, sam3_lora]
  loss_name: [dice_ce, cldice, cbdice, focal]
  calibrated: [false, true]
  fold: [0, 1, 2]
limits: {budget_usd: 120, pending_minutes: 600, starting_minutes: 30, overrun_factor: 3}
expect: {minutes: 40, by: {model_family: {sam3_lora: 75}}}
prices: {A100: {spot: 0.60, on_demand: 1.30}}
"""
START = datetime(2026, 5, 11, 7, 0, tzinfo=UTC)
DIAGNOSED = START + timedelta(minutes=300)
RELAUNCHED = DIAGNOSED + timedelta(minutes=40)
END = RELAUNCHED + timedelta(minutes=52)
AT_A_TIME = 12
MINUTES = {"dynunet": 22, "segresnet": 28, "swin_unetr": 46, "sam3_lora": 63}

TRACEBACK = """\
epoch 1/40: loss 0.{job:04d}, dice 0.41
epoch 2/40: loss 0.{job:03d}, dice 0.47
Traceback (most recent call last):
  File "/app/train.py", line 211, in <module>
    main(parse(sys.argv[1:]))
  File "/app/train.py", line 188, in main
    trainer.fit(model, loaders)
{frames}{error}
srun: error: node{job}: task 0: Exited with exit code 1
"""


@dataclass(frozen=True)
class Cause:
    """What a job dies of, and after how many minutes."""

    frames: str
    error: str
    minutes: float

    def log(self, job_id: int) -> str:
        """Print what the job printed."""
        return TRACEBACK.format(job=job_id, frames=self.frames, error=self.error.format(job=job_id))


OOM = Cause(
    '  File "/app/losses/cbdice.py", line 64, in forward\n    skeleton = soft_skeletonize(prediction)\n',
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.{job} GiB. GPU 0 has a total capacity "
    "of 39.39 GiB of which 1.06 GiB is free.",
    21,
)
FILE = Cause(
    '  File "/app/data/calibration.py", line 31, in load_temperatures\n    with open(path) as file:\n',
    "FileNotFoundError: [Errno 2] No such file or directory: 'calibration/fold2.json'",
    14,
)
SHAPE = Cause(
    '  File "/app/losses/cldice.py", line 22, in forward\n    overlap = (skeleton * target).sum()\n',
    "RuntimeError: The size of tensor a (96) must match the size of tensor b (128) at non-singleton "
    "dimension 4",
    9,
)


def first(levels: dict[str, Any]) -> Cause | None:
    """Say what a condition died of in the first cycle."""
    if levels["model_family"] == "sam3_lora" and levels["loss_name"] == "cbdice":
        return OOM
    if levels["calibrated"] and levels["fold"] == 2:
        return FILE
    if levels["model_family"] == "segresnet" and levels["loss_name"] == "cldice":
        return SHAPE
    return None


def second(levels: dict[str, Any]) -> Cause | None:
    """Say what it died of after the fix: the smaller batch is not small enough with calibration."""
    if levels["model_family"] == "sam3_lora" and levels["calibrated"]:
        return OOM
    if levels["model_family"] == "segresnet" and levels["fold"] == 1:
        return SHAPE
    return None


def make(data: Path, config_folder: Path, *, every: int = 4) -> Store:
    """Make the store, as it is while three jobs of the second cycle still run.

    Parameters
    ----------
    data : data directory
    config_folder : where the config is written to
    every : minutes between two polls
    """
    experiment = load_experiment(write_config(config_folder, CONFIG))
    store = Store(data / f"{experiment.experiment_name}-{START:%Y%m%dT%H%M%SZ}")
    store.path.mkdir(parents=True)
    manifest = new_manifest(
        experiment, store.experiment_id, created_at=START, is_replay=False, prices=experiment.prices
    )
    for job_id, entry in enumerate(manifest.jobs, start=101):
        entry.job_id = job_id
    write_manifest(store, manifest)
    queue = _Queue()
    queue.launch(manifest.jobs, START, first)
    queue.jobs[107].update(status="CANCELLED", end_at=queue.jobs[107]["start_at"] + 900)
    queue.play(data, START, DIAGNOSED, every=every, silent=(100, 150), down=(184, 192))
    _fix(data, store, DIAGNOSED)
    queue.launch(_relaunch(store, RELAUNCHED), RELAUNCHED, second)
    queue.play(data, RELAUNCHED, END, every=every)
    return store


class _Queue:
    """A queue that runs at most AT_A_TIME jobs, as far as the clock has come."""

    name = "sky"

    def __init__(self) -> None:
        self.jobs: dict[int, dict[str, Any]] = {}
        self.logs: dict[LogRequest, str | bytes | QueueError] = {}
        self._now = START
        self._is_down = False

    def launch(
        self, entries: Sequence[Entry], at: datetime, died_of: Callable[[dict[str, Any]], Cause | None]
    ) -> None:
        """Decide when each job starts and ends, and of what."""
        free = [at.timestamp() + 120] * AT_A_TIME
        for number, entry in enumerate(entries):
            assert entry.job_id is not None
            cause = died_of(dict(entry.factors))
            jitter = 1 + (number * 37 % 23 - 11) / 100
            minutes = (cause.minutes if cause else MINUTES[str(entry.factors["model_family"])]) * jitter
            slot = free.index(min(free))
            start = free[slot] + 45
            free[slot] = start + 60 * minutes
            self.jobs[entry.job_id] = {
                "job_id": entry.job_id,
                "task_id": 0,
                "job_name": entry.job_name,
                "status": "FAILED" if cause else "SUCCEEDED",
                "submitted_at": at.timestamp() + number,
                "start_at": start,
                "end_at": free[slot],
                "resources": "1x[A100:1]",
                "cloud": "GCP",
                "region": ("europe-west4", "us-central1")[slot % 2],
                "failure_reason": "Job exited with exit code 1 (user program failure)." if cause else None,
            }
            if cause:
                self.logs[LogRequest(entry.job_id)] = cause.log(entry.job_id)

    def play(
        self,
        data: Path,
        begin: datetime,
        end: datetime,
        *,
        every: int,
        silent: tuple[int, int] = (0, 0),
        down: tuple[int, int] = (0, 0),
    ) -> None:
        """Poll every few minutes, but not while nobody polled; in between the queue does not answer."""
        logs = FakeLogs(self.logs)
        for minute in range(every, int((end - begin).total_seconds() / 60) + 1, every):
            if silent[0] < minute < silent[1]:
                continue
            self._now, self._is_down = begin + timedelta(minutes=minute), down[0] <= minute <= down[1]
            poll(data, self, now=self._now, logs=logs)

    def read(self, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Answer as of the clock."""
        if self._is_down:
            message = "SkyPilot's API server can't be reached: connection refused"
            raise QueueError(message, error_type="ApiServerConnectionError")
        records, bad = parse_records(list(self._seen()))
        return Answer(polled_at=self._now, records=records, bad=bad, latency_s=1.8)

    def read_specs(self, job_ids: Collection[int]) -> dict[int, JobSpec]:
        """Say nothing about how the jobs were submitted."""
        return {job_id: JobSpec(None, None) for job_id in job_ids}

    def _seen(self) -> Iterator[dict[str, Any]]:
        now = self._now.timestamp()
        for job in self.jobs.values():
            if now >= job["end_at"]:
                yield job
            elif now >= job["start_at"]:
                yield {**job, "status": "RUNNING", "end_at": None, "failure_reason": None}
            else:
                waits = {"status": "PENDING", "start_at": None, "end_at": None, "failure_reason": None}
                yield {**job, **waits}


def _fix(data: Path, store: Store, at: datetime) -> None:
    """Record what people did about the first cycle."""
    causes = rows(
        connect(data, store.experiment_id),
        "select root_cause_id, category, remedy, confidence, job_ids, condition_ids, failed_count from cause",
    )
    named = {row["root_cause_id"].partition("/")[0]: row["root_cause_id"] for row in causes}
    failed_count = sum(row.pop("failed_count") for row in causes)
    diagnosed = [DiagnosedCause(**row) for row in causes]
    append_event(
        store,
        DiagnosisEvent(at=at, cycle=0, is_preliminary=False, failed_count=failed_count, causes=diagnosed),
    )
    done = {"cuda_oom": "batch size 4 -> 2 for cbdice", "code_bug": "resample targets before the skeleton"}
    for minutes, (category, what) in enumerate(done.items(), start=12):
        fixed_at = at + timedelta(minutes=minutes)
        event = FixEvent(at=fixed_at, cycle=0, root_cause_id=named[category], what=what, by="anna")
        append_event(store, event)
    image = {"image": "registry.example/vessel:2", "digest": f"sha256:{'7f' * 32}"}
    for minutes, is_ok in ((20, False), (34, True)):
        checked_at = at + timedelta(minutes=minutes)
        append_event(
            store, FixVerifiedEvent(at=checked_at, cycle=0, is_ok=is_ok, links=[], commits=[], **image)
        )


def _relaunch(store: Store, at: datetime) -> list[Entry]:
    """Give the conditions whose cause was fixed another job."""
    manifest = read_manifest(store)
    again = [entry for entry in manifest.jobs if first(dict(entry.factors)) in (OOM, SHAPE)]
    conditions = [entry.condition for entry in again]
    image = {"image": None, "digest": None, "former_digest": None}
    append_event(store, RelaunchEvent(at=at, cycle=1, condition_ids=conditions, **image))
    for job_id, entry in enumerate(again, start=201):
        assert entry.job_id is not None
        entry.attempts.append(Attempt(cycle=0, job_id=entry.job_id))
        entry.job_id, entry.relaunch_batch = job_id, 1
    manifest.current_cycle = 1
    write_manifest(store, manifest)
    store.reopen()
    return again
