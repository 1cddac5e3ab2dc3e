"""Fetch the log of a job (floor 4)."""

from __future__ import annotations

from fmon.errors import QueueError
from fmon.redact import redact
from fmon.sky.sdk import ask_worker

TIMEOUT_S = 120.0


def job_log(job_id: int, *, controller: bool = False) -> str:
    """Give a job's log as far as it is written, without following it.

    Parameters
    ----------
    job_id : the managed job
    controller : its controller's log instead, which tells of provisioning and recovery

    Returns
    -------
    str
        Raw text, ANSI codes and SkyPilot's prefixes included, secrets redacted. Of a long log the
        first 256 K and the last 1 M characters, with the cut marked.

    Raises
    ------
    QueueError
        There is no log to be had: no such job, no server, or out of time.
    """
    text = ask_worker("log", str(job_id), *(["controller"] if controller else []), timeout_s=TIMEOUT_S)
    if not isinstance(text, str):
        raise QueueError(f"job {job_id} has no log", error_type="BadAnswer")
    return redact(text)
