"""A study whose every name, error, log line and word of a person is an attack on the page that shows it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from fmon.events import FixEvent, LostJobClosedEvent
from fmon.manifest.file import read_manifest
from fmon.model import Tracking
from fmon.monitor.classify import examine
from fmon.store.events import append_event
from fmon.store.folder import Store
from fmon.store.job_logs import save_log
from tests.support.studies import NAME, at, job, poll, study


def attack_of(url: str) -> str:
    """Write what would run, fetch or frame something if it got out of its place."""
    return (
        f"\x1b[31m</script></style></pre></mark><script>document.title='owned';fetch('{url}/script')</script>"
        f"<img src={url}/image onerror=\"document.title='owned'\"><link rel=stylesheet href={url}/style>"
        f"<iframe src={url}/frame></iframe><svg onload=\"document.title='owned'\">\"' onclick='x'"
        "{{ 7 * 7 }}"
    )


def hostile_study(data: Path, url: str) -> Store:
    """Make it; ``url`` is what a successful attack would ask for something."""
    attack = attack_of(url)
    factors = {f"model{attack}": [f"a{attack}", "b"], "fold": [0, 1, 2], "calib": [True, False]}
    store = study(data, factors, mlflow=Tracking(tracking_uri=url, experiment="study"))
    failed = [job(number, "FAILED", failure_reason=attack) for number in range(1, 9)]
    poll(store, 11, [*failed, *(job(number, "SUCCEEDED") for number in range(9, 12))])
    poll(store, 12, None, error=attack)
    for number in range(1, 8):
        log = f'{attack}\nTraceback (most recent call last):\n  File "/app/{attack}.py", line 3, in f\n'
        save_log(store, f"{number}.log", f"{log}RuntimeError: {attack}\n{attack}\n")
    examine(store, read_manifest(store), None, now=at(13))
    append_event(store, FixEvent(at=at(14), cycle=0, root_cause_id=attack, what=attack, by=attack))
    closed_at = at(14) + timedelta(seconds=1)
    append_event(
        store, LostJobClosedEvent(at=closed_at, condition_id=attack, job_id=12, reason=attack, by=attack)
    )
    return store


def hostile_runs(url: str) -> list[dict[str, Any]]:
    """Make runs as of an MLflow that is an attack too: a link that is a script, a name that is one."""
    attack = attack_of(url)
    run = {
        "run_id": f"r1{attack}", "run_name": attack, "parent_run_id": None, "status": attack, "cycle_tag": 0,
        "experiment_tag": NAME, "condition_tag": "c1", "job_tag": None,
        "url": "javascript:document.title='owned'",
        "metrics": {f"dice{attack}": 0.5}, "started_at": at(1), "ended_at": None, "read_at": at(30),
    }  # fmt: skip
    linked = {"run_id": "r2", "condition_tag": "c2", "url": f'{url}/#/runs/r2"onmouseover="x'}
    return [run, {**run, **linked}]
