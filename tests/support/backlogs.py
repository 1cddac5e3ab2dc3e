"""Experiments with many failed jobs, for the tests and the benchmark of failures without logs."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from fmon.launch.adopt import adopt
from fmon.monitor.poll import Polled, poll
from fmon.sky.reader import LogReader
from tests.support.queues import START, FakeQueue, job
from tests.support.world import write_config

CONFIG = """\
experiment_name: {name}
skypilot_yaml: train.yaml
factors: {{seed: [{seeds}]}}
job_name: "{name}-{{seed}}"
prices: {{L4: {{spot: 0.22, on_demand: 0.70}}}}
"""


class Backlog:
    """Some experiments all of whose jobs have failed by the first poll."""

    def __init__(self, folder: Path, *, experiment_count: int, failure_count: int) -> None:
        self.data = folder / "data"
        names = [f"e{number:02}" for number in range(experiment_count)]
        jobs = [(name, seed) for name in names for seed in range(failure_count)]
        running = [job(number, f"{name}-{seed}") for number, (name, seed) in enumerate(jobs, start=1)]
        seeds = ", ".join(map(str, range(failure_count)))
        for name in names:
            config = write_config(folder / name, CONFIG.format(name=name, seeds=seeds))
            adopt(config, FakeQueue([each for each in running if _is_of(each, name)]), self.data, now=START)
        self._queue = FakeQueue([{**each, **_END} for each in running])

    def poll(self, logs: LogReader, *, minute: int = 1) -> Polled:
        """Poll once."""
        return poll(self.data, self._queue, now=START + timedelta(minutes=minute), logs=logs)


_END = {
    "status": "FAILED",
    "end_at": START.timestamp() + 600,
    "failure_reason": "Job exited with code 1",
}


def _is_of(record: dict[str, Any], name: str) -> bool:
    return str(record["job_name"]).startswith(f"{name}-")
