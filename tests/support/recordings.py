"""Small recordings made up for tests: two passes of one study, whose grids differ."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from fmon.config import load_experiment
from fmon.model import Condition, level_text
from tests.support.world import write_config

FIRST = """\
experiment_name: first_pass
skypilot_yaml: train.yaml
factors: {model: [dynunet, segresnet, sam3], loss: [dice, cldice], fold: [0, 1, 2]}
baselines: [{model: vanilla, fold: 0, envs: {ZERO_SHOT: "true"}}]
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
SECOND = """\
experiment_name: second_pass
skypilot_yaml: train.yaml
factors: {calib: [true, false], loss: [cldice, dice], model: [dynunet, sam3, mamba], fold: [0, 1]}
baselines: [{model: vanilla, fold: 0, envs: {ZERO_SHOT: "true"}}]
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB."
MODULE = "ModuleNotFoundError: No module named 'sam3_adapter'"
FILE = "FileNotFoundError: [Errno 2] No such file or directory: 'splits/fold1.json'"
MAMBA = "RuntimeError: mamba-ssm not installed."
NAN = "ValueError: loss is NaN at step 12"

Levels = Mapping[str, str]


def first(levels: Levels) -> str | None:
    """Say what a condition of the first pass died of; None = it succeeded."""
    if levels["model"] == "sam3":
        return OOM if levels["loss"] == "cldice" else MODULE
    if levels == {"model": "segresnet", "loss": "cldice", "fold": "1"}:
        return FILE
    return None


def second(levels: Levels) -> str | None:
    """Say what a condition of the second pass died of: the module is there now, memory as short as ever."""
    if levels["model"] == "mamba":
        return MAMBA
    if levels["model"] == "sam3" and levels["loss"] == "cldice":
        return OOM
    if levels == {"calib": "true", "loss": "dice", "model": "dynunet", "fold": "0"}:
        return NAN
    return None


def write_recording(
    folder: Path, config: str, start: datetime, died_of: Callable[[Levels], str | None]
) -> Path:
    """Write a recording of three polls: all run, the failed ones have ended after five minutes, all have."""
    conditions = load_experiment(write_config(folder, config), needs_task=False).conditions
    (folder / "logs").mkdir(exist_ok=True)
    running, ended = [], []
    for job_id, condition in enumerate(conditions, start=1):
        record = _record(job_id, condition, start)
        error = died_of({factor: level_text(level) for factor, level in condition.factors.items()})
        running.append({**record, "status": "RUNNING"})
        status, minutes = ("FAILED", 5) if error else ("SUCCEEDED", 20)
        ended.append({**record, "status": status, "end_at": start.timestamp() + 60 * (minutes + job_id / 60)})
        if error:
            traceback = (
                'Traceback (most recent call last):\n  File "train.py", line 9, in <module>\n    fit()'
            )
            (folder / f"logs/{job_id}.log").write_text(f"epoch 1\n{traceback}\n{error}\n")
    lines = [
        {"polled_at": datetime.fromtimestamp(start.timestamp() + 60 * minute, UTC).isoformat(), "jobs": jobs}
        for minute, jobs in ((1, running), (6, _until(running, ended, start, 6)), (30, ended))
    ]
    (folder / "queue.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def both_passes(folder: Path) -> tuple[Path, Path]:
    """Write both passes, a week apart."""
    return (
        write_recording(folder / "first", FIRST, datetime(2026, 3, 15, 5, tzinfo=UTC), first),
        write_recording(folder / "second", SECOND, datetime(2026, 3, 22, 5, tzinfo=UTC), second),
    )


def _record(job_id: int, condition: Condition, start: datetime) -> dict[str, object]:
    times = {"submitted_at": start.timestamp(), "start_at": start.timestamp()}
    name = {"job_id": job_id, "task_id": 0, "job_name": condition.job_name}
    return {**name, **times, "resources": "1x[L4:1]", "cloud": "GCP", "region": "europe-west4"}


def _until(running: list[dict], ended: list[dict], start: datetime, minute: float) -> list[dict]:
    """Show what the queue says in between: the ones that have ended by then, and the others."""
    now = start.timestamp() + 60 * minute
    return [after if after["end_at"] <= now else before for before, after in zip(running, ended, strict=True)]
