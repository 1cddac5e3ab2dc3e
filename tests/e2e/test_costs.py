"""SkyPilot's own cost report beside fmon's cost, on jobs that have really run."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fmon
from tests.e2e.early import DYING
from tests.e2e.real_sky import QUEUE_UNREACHABLE, RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

USD_PER_H = 2.5
"""As in the pricing of the server's own config (tests/e2e/realsky/up.sh)."""
CONFIG = """\
experiment_name: costed
skypilot_yaml: train.yaml
factors: {{name: {names}}}
prices: {{H100: {{on_demand: {price}}}}}
job_name: "{{name}}"
"""
WATCHED = "watched"
SPENT = "select cost_usd from experiment_summary"
GONE_S = 600.0
"""How long a job may take from its launch until its machine is gone."""
TEARDOWN_S = 300.0
"""How long a machine may take to go after its job ended; two loaded cores took 110 s."""


@dataclass(frozen=True)
class Costed:
    """A finished report on jobs of the server's queue."""

    done: subprocess.CompletedProcess[str]
    data: Path
    summary: dict[str, Any]
    by_cluster: dict[str, float]


@pytest.fixture(scope="module")
def costed(realsky: RealSky, early: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Costed:
    """Adopt jobs that ran and ended, and report."""
    names = [name for name, task in DYING.items() if "tasks" not in task]  # one machine per job
    records = realsky.wait([early[name] for name in names], timeout=600)
    jobs = {record["job_name"]: record["job_id"] for record in records if record["start_at"]}
    clusters = settled(realsky, {f"{name}-{job_id}" for name, job_id in jobs.items()})
    folder = tmp_path_factory.mktemp("costed")
    config = CONFIG.format(names=json.dumps(list(jobs)), price=USD_PER_H)
    write_config(folder, config, "resources: {infra: slurm/demo, accelerators: 'H100:1'}\nrun: 'true'\n")
    adopted = realsky.fmon(folder, "adopt", "experiment.yaml")
    assert adopted.returncode == 0, adopted.stderr
    done = realsky.fmon(folder, "report", "--out-dir", "reports")
    assert done.returncode == 0, done.stderr
    *_, summary = (folder / done.stdout.split()[0]).read_text().splitlines()
    by_cluster: dict[str, float] = {}
    for row in clusters:
        by_cluster[row["name"]] = by_cluster.get(row["name"], 0.0) + row["total_cost"]
    return Costed(done, folder / "data", json.loads(summary), by_cluster)


def settled(sky: RealSky, names: set[str]) -> list[dict[str, Any]]:
    """Give SkyPilot's costs of some clusters when they have stopped growing: billed until they are gone."""

    def look() -> list[dict[str, Any]]:
        return [row for row in sky.cost() if row["name"] in names]

    until = time.monotonic() + TEARDOWN_S
    before, now = None, look()
    while now != before:
        assert time.monotonic() < until, f"a machine does not go: {now}"
        time.sleep(5)
        before, now = now, look()
    return now


def test_skypilots_figure_of_every_job_is_what_its_sdk_says(costed: Costed) -> None:
    asked = fmon.connect(costed.data).execute("select job_name, job_id from job where is_terminal").fetchall()
    told = {job_id: costed.by_cluster[f"{name.replace('_', '-')}-{job_id}"] for name, job_id in asked}
    stored = fmon.connect(costed.data).execute("select job_id, reported_usd from reported_cost").fetchall()
    assert dict(stored) == pytest.approx(told)
    assert costed.summary["reported"]["reported_count"] == len(told) > 0
    (outcome,) = costed.done.stderr.splitlines()  # no complaint about the cost report
    assert outcome.startswith("costed-")


@dataclass(frozen=True)
class Watched:
    """What ``fmon status`` says of a job that polls watched to its end, before and after the cost report."""

    before: str
    after: str
    estimate_usd: float
    cost_usd: float
    reported_usd: float


@pytest.fixture(scope="module")
def watched(realsky: RealSky, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Poll a job, as cron would, until its machine is gone; then report."""
    folder = tmp_path_factory.mktemp("watched")
    write_config(
        folder,
        CONFIG.format(names=json.dumps([WATCHED]), price=USD_PER_H),
        "resources: {infra: slurm/demo, accelerators: 'H100:1'}\nrun: 'true'\n",
    )
    (job_id,) = realsky.launch([{"name": WATCHED, "run": "sleep 45"}])
    adopted = realsky.fmon(folder, "adopt", "experiment.yaml")
    assert adopted.returncode == 0, adopted.stderr
    until = time.monotonic() + GONE_S
    while not ask(
        folder, "select 1 from job_observation where is_newest and is_terminal and not has_machine"
    ):
        assert time.monotonic() < until, ask(folder, "from job_observation")
        time.sleep(3)
        polled = realsky.fmon(folder, "poll", tries=1)
        assert polled.returncode in (0, QUEUE_UNREACHABLE), polled.stderr
    before, (estimate_usd,) = realsky.fmon(folder, "status").stdout, ask(folder, SPENT)[0]
    settled(realsky, {f"{WATCHED}-{job_id}"})
    reported = realsky.fmon(folder, "report", "--out-dir", "reports")
    assert reported.returncode == 0, reported.stderr
    ((reported_usd,),) = ask(folder, "select reported_usd from reported_cost")
    after, (cost_usd,) = realsky.fmon(folder, "status").stdout, ask(folder, SPENT)[0]
    return Watched(before, after, float(estimate_usd), float(cost_usd), reported_usd)


def ask(folder: Path, query: str) -> list[Any]:
    """Ask the views of a store."""
    found: list[Any] = fmon.connect(folder / "data").execute(query).fetchall()
    return found


def test_the_estimate_of_a_watched_job_is_close_to_skypilots_cost(watched: Watched) -> None:
    assert watched.estimate_usd == pytest.approx(watched.reported_usd, rel=0.15)
    assert f"est. ${watched.estimate_usd:.2f}" in watched.before


def test_once_the_cost_report_is_read_the_cost_is_skypilots_own(watched: Watched) -> None:
    assert watched.cost_usd == pytest.approx(watched.reported_usd, abs=0.0001)
    assert f"${watched.cost_usd:.2f} (SkyPilot's own)" in watched.after


def test_fmons_cost_is_skypilots_but_for_launch_and_teardown(costed: Costed) -> None:
    """SkyPilot bills from the start of provisioning until the machine is gone.

    fmon, which did not watch these jobs, only knows from the submission to the end.
    """
    query = """
        select
            job.job_id,
            (reported_cost.reported_usd - job.estimate_usd) / $price * 3600 as apart_s,
            epoch(job.start_at) - epoch(job.submitted_at) as launch_s
        from job join reported_cost using (experiment_id, job_id)
    """
    for job_id, apart_s, launch_s in (
        fmon.connect(costed.data).execute(query, {"price": USD_PER_H}).fetchall()
    ):
        assert -launch_s - 1 <= apart_s <= TEARDOWN_S, (job_id, apart_s, launch_s)
