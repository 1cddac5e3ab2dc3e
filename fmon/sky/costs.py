"""The cost of jobs as SkyPilot reports it, to compare with fmon's own estimate.

Its cost report has one row per cluster; a managed job has one cluster per recovery and task.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from typing import TYPE_CHECKING, Any

from fmon.errors import QueueError
from fmon.job_key import job_id_of
from fmon.sky.endpoint import find_endpoint
from fmon.sky.http_queue import Question, ask_once
from fmon.sky.protocol import COSTS_PATH, costs_body, return_value_of
from fmon.sky.reader import SDK_MAY_KNOW
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

TIMEOUT_S = 30.0
MOST_USD = 1e9
NAME_LENGTH = 25
HASH_LENGTH = 2
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def reported_costs(
    jobs: Mapping[int, Collection[str]], days: int, *, timeout_s: float = TIMEOUT_S
) -> dict[int, float]:
    """Ask SkyPilot for the cost of managed jobs, including provisioning and recoveries.

    Parameters
    ----------
    jobs
        The names of each job's tasks, by job_key.
    days
        How far back to look; the server reads all clusters used since then.
    timeout_s
        Longest wait for the answer [s].

    Returns
    -------
    dict
        Cost [USD] by job_key, only of jobs whose clusters SkyPilot knows and has a price for. Empty if
        the jobs controller is a separate machine: only that machine then knows the clusters.

    Raises
    ------
    QueueError
        SkyPilot did not answer in time, or did not send a cost report.
    """
    rows = _rows(days, timeout_s)
    owners = {cluster_name(name, job_id_of(key)): key for key, names in jobs.items() for name in names}
    costs: dict[int, float] = {}
    for row in rows:
        name = row.get("name") if isinstance(row, dict) else None
        if isinstance(name, str) and name in owners:
            costs[owners[name]] = costs.get(owners[name], 0.0) + _cost(row)
    return {key: cost for key, cost in costs.items() if cost <= MOST_USD}


def cluster_name(task_name: str, job_id: int) -> str:
    """Return the name of a managed job's cluster, as ``generate_managed_job_cluster_name`` of SkyPilot does.

    Examples
    --------
    >>> cluster_name("SAM3_dice.ce", 7)
    'sam3-dice-ce-7'
    """
    name = re.sub(r"[._]", "-", task_name).lower()
    if len(name) > NAME_LENGTH:
        name = name[: NAME_LENGTH - HASH_LENGTH - 1].rstrip("-") + "-" + _base36(task_name)[:HASH_LENGTH]
    return f"{name}-{job_id}"


def _base36(text: str) -> str:
    number = int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), 16)
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits


def _rows(days: int, timeout_s: float) -> list[Any]:
    """Fetch the report over HTTP, or with the SDK if HTTP is not enough, like the queue."""
    until = time.monotonic() + timeout_s
    try:
        endpoint = find_endpoint()
        question = Question(COSTS_PATH, costs_body(endpoint, days=days), "the next report tries again")
        rows = return_value_of(ask_once(endpoint, question, deadline_s=timeout_s))
    except QueueError as fault:
        if fault.error_type not in SDK_MAY_KNOW:
            raise
        rows = ask_worker("costs", str(days), timeout_s=max(1.0, until - time.monotonic()))
    if not isinstance(rows, list):
        message = (
            f"SkyPilot sent {type(rows).__name__} instead of its cost report; "
            "check its version with `sky api info`"
        )
        raise QueueError(message, error_type="BadAnswer")
    return rows


def _cost(row: dict[str, Any]) -> float:
    """Return the cost of one cluster [USD]; NaN if unknown: SkyPilot reports 0 if it has no price."""
    cost = row.get("total_cost")
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or cost < 0:
        return math.nan
    return float(cost) if cost or row.get("duration") == 0 else math.nan
