"""A study in which three jobs of one level die of the identical error: what fires the kill switch."""

from typing import Any

from fmon.sky.reader import LogRequest
from tests.support.queues import START, FakeLogs, job

CONFIG = """\
experiment_name: burst
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2, 3, 4]}
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
IDS = [f"{model}-{fold}" for model in ("dynunet", "sam3") for fold in range(5)]
JOB_OF = {condition_id: number for number, condition_id in enumerate(IDS, start=1)}
SETUP_ERROR = "ERROR: No matching distribution found for mamba-ssm==9\n"
LOGS = {LogRequest(JOB_OF[f"sam3-{fold}"]): SETUP_ERROR for fold in range(5)}
WAITING = ["sam3-3", "sam3-4"]
"""The jobs of the level that have not failed yet."""


def seconds(minutes: float) -> float:
    """Give a time as SkyPilot does."""
    return START.timestamp() + 60 * minutes


def record(condition_id: str, status: str = "PENDING", **fields: Any) -> dict[str, Any]:
    """Make the queue record of a condition's job."""
    return job(JOB_OF[condition_id], condition_id, status, **fields)


def running(condition_id: str, since: float = 0) -> dict[str, Any]:
    """Make a job that runs since a minute."""
    return record(condition_id, "RUNNING", start_at=seconds(since))


def failed(condition_id: str, *, at: float = 2, status: str = "FAILED_SETUP") -> dict[str, Any]:
    """Make a job that ran for half a minute and failed at a minute."""
    times = {"start_at": seconds(at - 0.5), "end_at": seconds(at), "job_duration": 30}
    return record(condition_id, status, **times)


def queue_of(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Make a poll: dynunet runs, sam3 waits, but for what is given by condition (``sam3_1=...``)."""
    by_id = {name: running(name) if name.startswith("dynunet") else record(name) for name in IDS}
    by_id |= {name.replace("_", "-"): given for name, given in changed.items()}
    return list(by_id.values())


def burst(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Make the poll that shows three failures of one level."""
    three = {f"sam3_{fold}": failed(f"sam3-{fold}", at=2 + 0.5 * fold) for fold in range(3)}
    return queue_of(**{**three, **changed})


def logs() -> FakeLogs:
    """Give every failure of the level the same last words, and its controller one line."""
    controllers = {LogRequest(ask.job_id, is_controller=True): "Job failed in setup.\n" for ask in LOGS}
    return FakeLogs({**LOGS, **controllers})
