"""A whole study on a real SkyPilot with a real registry: launched, failed, diagnosed, fixed, run again.

Three stories, the first beside the others. Four conditions, one level of which dies of a payload fault:
the relaunch is refused while the image is the old one, and then runs the failed conditions and no others.
Two conditions that ask for machines that nobody has: fixed and run again twice in vain, and then it is a
person's turn. Three conditions, one of which can't run, in the hands of ``fmon run`` alone.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.images import __file__ as images
from tests.e2e.real_sky import RealSky
from tests.support.git import commit, git

pytestmark = pytest.mark.real

Done = subprocess.CompletedProcess[str]

# The node has sixteen H100, so that four jobs run at a time: starting one takes a CPU for a while.
TASK = """\
resources: {{infra: slurm/demo, cpus: 1+, accelerators: "H100:4"}}
envs: {{IMAGE: {image}, BLOCKS: "{blocks}", MODEL: null, LOSS: null}}
run: |
  env | grep -E '^(MODEL|LOSS|MAX_EPOCHS|IMAGE)='
  if [ "$MODEL" = sam3 ]; then
    python3 -c "import os; {{'1': 'lora'}}[os.environ['BLOCKS']]"
  fi
"""
CONFIG = """\
experiment_name: rebuilt
skypilot_yaml: train.yaml
docker_image: {image}
factors: {{model: [dynunet, sam3], loss: [dice, cldice]}}
overrides: {{model: {{dynunet: {{envs: {{MAX_EPOCHS: 3}}}}}}}}
undeclared: [MAX_EPOCHS]
prices: {{H100: {{on_demand: 2.5}}}}
verify:
  tests: grep -q 'BLOCKS. "1"' train.yaml
  build: rm -rf image && {python} {images} image fixed
  push: skopeo --insecure-policy copy --dest-tls-verify=false oci:image:x docker://{image}
"""
INFEASIBLE = """\
resources: {{infra: slurm/demo, accelerators: "H100:{count}"}}
envs: {{IMAGE: {image}, FOLD: null}}
run: "true"
"""
IN_VAIN = """\
experiment_name: in_vain
skypilot_yaml: train.yaml
docker_image: {image}
factors: {{fold: [0, 1]}}
job_name: in-vain-{{fold}}
prices: {{H100: {{on_demand: 2.5}}}}
verify: {{tests: "true"}}
"""
UNATTENDED = """\
experiment_name: unattended
skypilot_yaml: train.yaml
docker_image: {image}
factors: {{fold: [0, 1, 2]}}
overrides: {{fold: {{2: {{resources: {{accelerators: "H100:99"}}}}}}}}
job_name: unattended-{{fold}}
prices: {{H100: {{on_demand: 2.5}}}}
"""
PLAIN = """\
resources: {{infra: slurm/demo, cpus: 1+, accelerators: "H100:4"}}
envs: {{IMAGE: {image}, FOLD: null}}
run: echo "fold $FOLD"
"""
SAM3 = ["sam3-dice", "sam3-cldice"]
NOT_ALL_SUCCEEDED, NOT_ALL_LAUNCHED, F3_REFUSED, F4_REFUSED = 4, 15, 23, 24
LIMIT_S = 1500
"""Longest time of one command: a busy machine starts jobs slowly [s]."""


@dataclass
class Study:
    """A project in a git repository, its stores, and what commands of fmon said by name of the step."""

    sky: RealSky
    folder: Path
    said: dict[str, Done] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def commit(self, message: str, **files: str) -> None:
        """Write files (``train_yaml=...``) and commit everything."""
        self.project.mkdir(exist_ok=True)
        for name, text in files.items():
            (self.project / name.replace("_", ".")).write_text(text)
        now = datetime.now(UTC)
        git(self.project, "init", "-q", at=now)
        commit(self.project, message, at=now)

    @property
    def manifest(self) -> dict[str, Any]:
        (path,) = self.folder.glob("data/*/manifest.json")
        return dict(json.loads(path.read_text()))

    def fmon(self, step: str, *args: str, code: int = 0) -> Done:
        """Run one command of fmon as a user would."""
        for _ in range(3):
            done = self.sky.fmon(
                self.project, *args, "--data", str(self.folder / "data"),
                timeout=LIMIT_S, DOCKER_CONFIG=str(self.folder / "docker"),
            )  # fmt: skip
            if done.returncode != NOT_ALL_LAUNCHED:
                break  # else the server was too busy for some, and the same command resumes
        self.said[step] = done
        assert done.returncode == code, (step, done)
        return done

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask the views."""
        return list(json.loads(self.fmon("sql", "sql", query, "-o", "json").stdout))

    def record(self, what: str) -> None:
        """Record what was done about the one root cause."""
        (cause,) = self.rows("select root_cause_id from cause")
        self.fmon("fix record", "fix", "record", cause["root_cause_id"], "--what", what)

    def until_ended(self) -> None:
        """Watch until no job is open."""
        self.fmon("watch", "watch", "--interval", "10")

    def until_all_logs_are_stored(self) -> None:
        """Poll until the log of each failure is there: a busy server does not give all of them in time."""
        for _ in range(20):
            if not self.rows("select job_id from failure where log_state <> 'stored'"):
                return
            self.fmon("poll", "poll")
        pytest.fail("a log is missing")


@pytest.fixture(scope="module")
def stories(
    realsky: RealSky, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Study]"]]:
    """Begin with the first test that asks for one; of two threads, as starting a job takes a CPU."""
    realsky.queue()  # the first answer of a cold server takes its time
    studies = {tell: Study(realsky, tmp_path_factory.mktemp("study")) for tell in STORIES}
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {tell.__name__: pool.submit(tell, study, registry) for tell, study in studies.items()}


@pytest.fixture(scope="module")
def rebuilt(stories: dict[str, "Future[Study]"]) -> Study:
    return stories["tell_rebuilt"].result()


@pytest.fixture(scope="module")
def in_vain(stories: dict[str, "Future[Study]"]) -> Study:
    return stories["tell_in_vain"].result()


@pytest.fixture(scope="module")
def unattended(stories: dict[str, "Future[Study]"]) -> Study:
    return stories["tell_unattended"].result()


def tell_rebuilt(study: Study, registry: str) -> Study:
    stale, fixed = (f"{registry}/study/train:{tag}" for tag in ("v1", "v2"))
    words = {"python": shlex.quote(sys.executable), "images": shlex.quote(images)}
    study.commit(
        "First",
        _gitignore="image/\n",
        experiment_yaml=CONFIG.format(image=stale, **words),
        train_yaml=TASK.format(image=stale, blocks="0"),
    )
    build_and_push(study, stale)
    study.fmon("launch", "launch", "experiment.yaml", "--yes")
    study.until_ended()
    study.until_all_logs_are_stored()
    for entry in study.manifest["jobs"]:
        study.fmon(f"log of {entry['condition']}", "logs", entry["condition"])
    study.fmon("diagnose", "diagnose", "-o", "json")
    study.fmon("too early", "relaunch", "--yes", code=F3_REFUSED)
    study.record("one block")
    study.commit(
        "sam3 has one block",
        experiment_yaml=CONFIG.format(image=fixed, **words),
        train_yaml=TASK.format(image=fixed, blocks="1"),
    )
    study.fmon("not pushed", "relaunch", "--yes", code=F3_REFUSED)
    study.fmon("fix run", "fix", "run")
    study.fmon("fix verify", "fix", "verify", "-o", "json")
    study.fmon("dry run", "relaunch", "--dry-run")
    study.fmon("relaunch", "relaunch", "--yes", "-o", "json")
    study.until_ended()
    study.fmon("report", "report", "--out-dir", str(study.folder / "reports"))
    study.fmon("audit", "audit", "-o", "json")
    return study


def tell_in_vain(study: Study, registry: str) -> Study:
    image = f"{registry}/study/other:v1"
    build_and_push(study, image)
    experiment = IN_VAIN.format(image=image)
    task = [INFEASIBLE.format(image=image, count=count) for count in (99, 98, 97)]
    study.commit("First", experiment_yaml=experiment, train_yaml=task[0])
    study.fmon("launch", "launch", "experiment.yaml", "--yes")
    study.until_ended()
    for cycle in (1, 2):
        study.fmon("diagnose", "diagnose")
        study.commit(f"Fewer, try {cycle}", train_yaml=task[cycle])
        study.record(f"{100 - cycle - 1} GPUs")
        study.fmon(f"relaunch {cycle}", "relaunch", "--yes")
        study.until_ended()
    study.fmon("diagnose", "diagnose")
    study.fmon("third", "relaunch", "--yes", "-o", "json", code=F4_REFUSED)
    return study


def tell_unattended(study: Study, registry: str) -> Study:
    image = f"{registry}/study/unattended:v1"
    build_and_push(study, image)
    study.commit(
        "First", experiment_yaml=UNATTENDED.format(image=image), train_yaml=PLAIN.format(image=image)
    )
    study.fmon(
        "run", "run", "experiment.yaml", "--interval", "10", "--out-dir", str(study.folder / "reports"),
        code=NOT_ALL_SUCCEEDED,
    )  # fmt: skip
    return study


STORIES = (tell_rebuilt, tell_in_vain, tell_unattended)


def build_and_push(study: Study, image: str) -> None:
    """Make the first image, as the project's own commands make the second."""
    study.project.mkdir(exist_ok=True)
    commands = (
        f"{shlex.quote(sys.executable)} {shlex.quote(images)} image stale && "
        f"skopeo --insecure-policy copy -q --dest-tls-verify=false oci:image:x docker://{image} && "
        "rm -rf image"
    )
    subprocess.run(commands, shell=True, cwd=study.project, env=os.environ, check=True, timeout=60)


def test_each_job_prints_the_variables_of_its_condition(rebuilt: Study) -> None:
    for entry in rebuilt.manifest["jobs"]:
        lines = rebuilt.said[f"log of {entry['condition']}"].stdout.splitlines()
        told = dict(
            line.split("=", 1) for line in lines if line.startswith(("MODEL=", "LOSS=", "MAX_EPOCHS="))
        )
        assert told == {"MODEL": entry["model"], "LOSS": entry["loss"], **entry["envs"]}


def test_one_level_fails_of_one_cause(rebuilt: Study) -> None:
    (cause,) = json.loads(rebuilt.said["diagnose"].stdout)["causes"]
    assert sorted(cause["affected_conditions"]) == sorted(SAM3)
    assert "KeyError" in cause["root_cause_id"]


def test_a_relaunch_with_the_stale_image_is_refused_and_says_what_is_broken(rebuilt: Study) -> None:
    told = rebuilt.said["too early"].stderr
    assert "F3: the chain from diagnosis to image is broken at record, commit, tests, digest;" in told
    assert "\nrecord: no fix is recorded for " in told
    assert "\ncommit: no commit since the diagnosis" in told
    told = rebuilt.said["not pushed"].stderr
    assert "digest: " in told
    assert "record: " not in told
    assert "commit: " not in told


def test_the_chain_holds_once_the_image_is_rebuilt_pushed_and_named(rebuilt: Study) -> None:
    links = {row["link"]: row["result"] for row in json.loads(rebuilt.said["fix verify"].stdout)}
    assert links == dict.fromkeys(("record", "commit", "tree", "tests", "digest", "yaml"), "ok")


def test_the_dry_run_gives_a_command_for_each_failed_condition(rebuilt: Study) -> None:
    lines = rebuilt.said["dry run"].stdout.splitlines()
    assert [line.split()[:5] for line in lines] == [["sky", "jobs", "launch", "-n", name] for name in SAM3]


def test_only_the_failed_conditions_run_again_and_succeed(rebuilt: Study) -> None:
    jobs = rebuilt.rows("select condition_id, cycle, status from job order by job_id")
    by_cycle = {cycle: [job["condition_id"] for job in jobs if job["cycle"] == cycle] for cycle in (0, 1)}
    assert len(by_cycle[0]) == 4
    assert sorted(by_cycle[1]) == sorted(SAM3)
    assert {job["status"] for job in jobs if job["cycle"] == 1} == {"SUCCEEDED"}
    assert all(row["state"] == "succeeded" for row in rebuilt.rows("select state from condition"))


def test_skypilot_itself_has_no_other_job_of_the_study(rebuilt: Study) -> None:
    tags = [(each.get("metadata") or {}).get("fmon") or {} for each in rebuilt.sky.queue()]
    own = [
        (tag["condition"], tag["cycle"])
        for tag in tags
        if str(tag.get("experiment", "")).startswith("rebuilt-")
    ]
    assert len(own) == len(set(own)) == 6


def test_the_report_shows_both_cycles_and_what_they_cost(rebuilt: Study) -> None:
    jsonl, page = (Path(line) for line in rebuilt.said["report"].stdout.split())
    summary = json.loads(jsonl.read_text().splitlines()[-1])
    assert [(row["cycle"], row["job_count"]) for row in summary["cycles"]] == [(0, 4), (1, 2)]
    assert all(row["cost_usd"] > 0 for row in summary["cycles"])
    cells = [f'<th scope="row">{cycle}<td class="number">{count}<td' for cycle, count in ((0, 4), (1, 2))]
    assert all(cell in page.read_text() for cell in cells)


def test_the_audit_holds(rebuilt: Study) -> None:
    assert [row["criterion"] for row in json.loads(rebuilt.said["audit"].stdout) if not row["is_ok"]] == []


def test_what_fails_again_twice_ends_in_24_with_the_report_for_a_person(in_vain: Study) -> None:
    refused = in_vain.said["third"]
    assert "F4: 2 relaunches are allowed, and this would be number 3" in refused.stderr
    report = json.loads(refused.stdout)
    assert [(row["cycle"], row["condition_count"]) for row in report["causes"]] == [(0, 2), (1, 2), (2, 2)]
    assert (report["cycle"], report["condition_count"]) == (3, 2)
    assert "came back despite its fix (98 GPUs; 97 GPUs)" in report["recommendation"]
    jobs = in_vain.rows("select cycle, count(*) as n from job group by cycle order by cycle")
    assert [(row["cycle"], row["n"]) for row in jobs] == [(0, 2), (1, 2), (2, 2)]


def test_run_says_in_one_object_what_a_parent_batch_asks(unattended: Study) -> None:
    told = json.loads(unattended.said["run"].stdout)
    assert told["experiment_id"].startswith("unattended-")
    summary = told["experiment_summary"]
    assert (summary["condition_count"], summary["succeeded"], summary["failed"]) == (3, 2, 1)
    (cause,) = told["causes"]
    assert cause["root_cause_id"] == "no_resource/infeasible"
    assert cause["affected_conditions"] == ["2"]


def test_run_leaves_a_report(unattended: Study) -> None:
    told = json.loads(unattended.said["run"].stdout)
    *conditions, summary = [json.loads(line) for line in Path(told["jsonl"]).read_text().splitlines()]
    assert len(conditions) == 3
    assert summary["cycles"][0]["cost_usd"] > 0
    assert "no_resource" in Path(told["html"]).read_text()


def test_run_fixes_nothing_and_runs_nothing_again(unattended: Study) -> None:
    jobs = unattended.rows("select condition_id, cycle from job")
    assert sorted((job["condition_id"], job["cycle"]) for job in jobs) == [(each, 0) for each in "012"]
    (path,) = unattended.folder.glob("data/*/events.jsonl")
    kinds = {json.loads(line)["event"] for line in path.read_text().splitlines()}
    assert kinds >= {"launch", "diagnosis"}
    assert not kinds & {"fix", "fix_command_begin", "fix_verified", "relaunch", "cancel_requested"}
