"""Facts about the cause of a failure that follow from the status of its job."""

from __future__ import annotations

SUCCESS = frozenset({"SUCCEEDED", "COMPLETED", "SUCCESS"})

Fact = tuple[str, str | None, int, float]
"""Category, subcategory, points and confidence."""

_BY_STATUS: dict[str, Fact] = {
    "FAILED_NO_RESOURCE": ("no_resource", "capacity", 55, 0.8),
    "CANCELLED": ("user_cancelled", "cancelled", 54, 0.9),
    "CANCELLING": ("user_cancelled", "cancelled", 54, 0.9),
    "OUT_OF_MEMORY": ("host_oom", "cgroup", 62, 0.95),
    "TIMEOUT": ("walltime", "slurm", 62, 0.95),
    "DEADLINE": ("walltime", "slurm", 62, 0.95),
    "NODE_FAIL": ("node_lost", "node_failure", 62, 0.95),
    "PREEMPTED": ("node_lost", "preempted", 62, 0.95),
    "FAILED_CONTROLLER": ("unknown", "controller", 12, 0.3),
}


def of_status(status: str) -> Fact | None:
    """Return what follows from a status that names its cause."""
    return _BY_STATUS.get(status)
