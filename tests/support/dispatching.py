"""Launches on the fake SkyPilot without what a command checks before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from fmon.launch.dispatch import DispatchOutcome, LaunchKey, dispatch, exclusive
from fmon.manifest.file import read_manifest
from fmon.manifest.stored import StoredExperiment
from tests.support.fake_skypilot import FakeSkyPilot, FakeSubmitter, SkyPilotQueue
from tests.support.world import PACE, new_store, write_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fmon.model import Entry
    from fmon.store.folder import Store


def make_store(folder: Path, *, is_replay: bool = False) -> Store:
    """Make the store of the small experiment: four conditions, none launched."""
    return new_store(write_config(folder), folder / "data", is_replay=is_replay)


def all_of(store: Store, cycle: int = 0) -> list[LaunchKey]:
    """List the attempts of all conditions."""
    return [LaunchKey(entry.condition, cycle) for entry in read_manifest(store).jobs]


def launch(
    store: Store,
    server: FakeSkyPilot,
    submitter: FakeSubmitter | None = None,
    attempts: Sequence[LaunchKey] | None = None,
    **changes: Any,
) -> DispatchOutcome:
    """Dispatch on the fake, as a phase would."""

    def task_yaml(entry: Entry, cycle: int) -> str:
        tags = {"experiment": store.experiment_id, "condition": entry.condition, "cycle": cycle}
        return yaml.safe_dump({"name": entry.job_name, "run": "true", "_metadata": {"fmon": tags}})

    with exclusive(store.path.parent, "small", wait_s=0):
        return dispatch(
            StoredExperiment(store),
            all_of(store) if attempts is None else attempts,
            submitter or FakeSubmitter(server),
            changes.pop("queue", None) or SkyPilotQueue(server),
            task_yaml=task_yaml,
            clock=replace(server.time, sleep=changes.pop("sleep", server.pass_time)),
            limits=PACE,
            **changes,
        )


def launched_jobs(server: FakeSkyPilot) -> dict[tuple[str, int], list[int]]:
    """List the jobs that the server has ever had, by condition and cycle."""
    jobs: dict[tuple[str, int], list[int]] = {}
    for job in server.jobs:
        tags = server.tags[job["job_id"]]
        jobs.setdefault((tags["condition"], tags["cycle"]), []).append(job["job_id"])
    return jobs
