"""fmon as whole processes against a real SkyPilot: what it stores is what SkyPilot says.

One story, told once: six conditions whose jobs SkyPilot itself launches, some late, one twice, one
beside them whose name is a prefix of theirs; a person submits one with a wrong variable. A machine is taken
away, a job is cancelled, the API server stops and comes back. Then every test asks one thing about what fmon
has stored.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import fmon
from tests.e2e.real_sky import FMON, QUEUE_UNREACHABLE, RESOURCES, RealSky
from tests.support.world import write_config

pytestmark = pytest.mark.real

CONFIG = """\
experiment_name: followed
skypilot_yaml: train.yaml
factors: {model: [dynunet, segresnet, sam3], loss: [dice_ce, dice_ce_cldice]}
expect: {minutes: 10}
limits: {pending_minutes: 30, starting_minutes: 10}
prices: {H100: {on_demand: 2.5}}
job_name: "{model}-{loss}"
"""
EPOCHS = 'for i in $(seq %d); do echo "epoch $i"; sleep 1; done'
EARLY = {
    "dynunet-dice_ce": {"run": EPOCHS % 10},
    "dynunet-dice_ce_cldice": {"run": "echo 'RuntimeError: no such loss' >&2; exit 3"},
    # Until fmon has seen it run, lose its machine and run again, however long a look takes.
    "segresnet-dice_ce_cldice": {"run": "until [ -e %s ]; do sleep 1; done"},
}
STRANGER = "dynunet-dice"
# Ends at once: starting a job takes a CPU for half a minute.
INFEASIBLE = {"infra": "slurm/demo", "accelerators": "H100:99"}
LATE = {
    "segresnet-dice_ce": {"setup": "echo 'ERROR: No matching distribution' >&2; exit 1", "run": "true"},
    "sam3-dice_ce": {"run": EPOCHS % 10},
    "sam3-dice_ce_cldice": {"run": EPOCHS % 900},
}
ENDED_AS = {
    "dynunet-dice_ce": "SUCCEEDED",
    "dynunet-dice_ce_cldice": "FAILED",
    "segresnet-dice_ce": "FAILED_SETUP",
    "segresnet-dice_ce_cldice": "SUCCEEDED",
    "sam3-dice_ce": "SUCCEEDED",
    "sam3-dice_ce_cldice": "CANCELLED",
}
BY_HAND, WRONG = "dynunet-dice_ce", {"LOSS": "dice_ce_cldice"}
"""The job that a person submits with the command line of SkyPilot and with a wrong variable."""
PREEMPTED, CANCELLED, TWICE = "segresnet-dice_ce_cldice", "sam3-dice_ce_cldice", "sam3-dice_ce_cldice"
NOT_ALL_SUCCEEDED = 4
PAUSE_S, LIMIT_S = 8, 600
STATUSES = "select job_name, status, details from job"
TIMES = ("submitted_at", "start_at", "end_at")


@dataclass
class Story:
    """What happened, for the tests to ask."""

    sky: RealSky
    folder: Path
    adopted: subprocess.CompletedProcess[str] | None = None
    poll_while_down: subprocess.CompletedProcess[str] | None = None
    came_up_by_itself: bool = True
    heartbeat_while_down: dict[str, Any] = field(default_factory=dict)
    job_count_while_down: int = 0
    cron_poll: subprocess.CompletedProcess[str] | None = None
    ids: dict[str, int] = field(default_factory=dict)
    duplicate_id: int = 0
    queue: list[dict[str, Any]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def fmon(self, *args: str, tries: int = 3) -> subprocess.CompletedProcess[str]:
        """Run one command of fmon as a user would."""
        return self.sky.fmon(self.folder, *args, "--data", str(self.data), tries=tries)

    def poll(self) -> None:
        """Poll; a busy server may need longer than a poll waits, then the next one resumes."""
        done = self.fmon("poll", tries=1)
        assert done.returncode in (0, QUEUE_UNREACHABLE), done.stderr

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask the views through ``fmon sql``."""
        done = self.fmon("sql", query, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def poll_until(self, query: str) -> None:
        """Poll until the views answer ``query`` with a row; not too often, the jobs need the machine."""
        until = time.monotonic() + LIMIT_S
        while not self.holds(query):
            assert time.monotonic() < until, f"never came true: {query}; {self.rows(STATUSES)}"
            time.sleep(PAUSE_S)
            self.poll()

    def holds(self, query: str) -> bool:
        return bool(fmon.connect(self.data).execute(query).fetchall())


@pytest.fixture(scope="module")
def story(realsky: RealSky, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("followed")
    write_config(
        folder, CONFIG, "resources: {infra: slurm/demo, cpus: 1+, accelerators: 'H100:1'}\nrun: 'true'\n"
    )
    told = Story(sky=realsky, folder=folder)
    may_end = realsky.root / "jobhome" / "followed_may_end"
    may_end.unlink(missing_ok=True)
    try:
        tell(told, may_end)
        yield told
    finally:
        realsky.up()
        may_end.touch()


def tell(story: Story, may_end: Path) -> None:
    """Let it happen; never more than five jobs at a time, starting one takes a CPU for a while."""
    waits = {"run": EARLY[PREEMPTED]["run"] % may_end}
    early = {name: task for name, task in EARLY.items() if name != BY_HAND}
    launch(story, {**early, PREEMPTED: waits, STRANGER: {"run": "true", "resources": INFEASIBLE}})
    story.adopted = story.fmon("adopt", "experiment.yaml")
    submit_by_hand(story)  # adopt would not take a job with other variables; a poll attaches it by its name
    preempted = f"select 1 from job where job_name = '{PREEMPTED}'"
    story.poll_until(f"{preempted} and status = 'RUNNING'")
    story.sky.preempt(PREEMPTED)
    story.poll_until(f"{preempted} and status = 'RECOVERING'")
    launch(story, LATE)
    story.poll_until(f"{preempted} and status = 'RUNNING'")
    may_end.touch()
    story.poll_until(f"select 1 from job where job_name = '{CANCELLED}' and status = 'RUNNING'")
    restart_the_server(story)
    story.duplicate_id = story.sky.launch([{"name": TWICE, **LATE[TWICE]}])[0]
    story.poll_until("select 1 from alarm where kind = 'duplicate'")
    story.sky.cancel(story.ids[CANCELLED], story.duplicate_id)
    story.poll_until("select 1 from job where status in ('FAILED', 'FAILED_SETUP') having count(*) = 2")
    story.sky.wait([*story.ids.values(), story.duplicate_id], timeout=LIMIT_S)
    # Every job, the duplicate too, whose condition has ended with the other one: until then fmon looks on.
    story.poll_until("select 1 from job having bool_and(is_terminal)")
    story.queue = story.sky.queue()


def launch(story: Story, jobs: dict[str, dict[str, Any]]) -> None:
    ids = story.sky.launch([{"name": name, **task} for name, task in jobs.items()])
    story.ids.update(zip(jobs, ids, strict=True))


def submit_by_hand(story: Story) -> None:
    """Submit a job whose YAML has the variables of its condition, and override one on the command line."""
    model, _, loss = BY_HAND.partition("-")
    task = {"resources": RESOURCES, "envs": {"MODEL": model, "LOSS": loss}, **EARLY[BY_HAND]}
    path = story.folder / "by_hand.yaml"
    path.write_text(json.dumps(task))
    options = [word for name, value in WRONG.items() for word in ("--env", f"{name}={value}")]
    story.sky.sky("jobs", "launch", "-y", "-d", "-n", BY_HAND, *options, str(path))
    known = (record["job_id"] for record in story.sky.queue() if record["job_name"] == BY_HAND)
    story.ids[BY_HAND] = max(known)


def restart_the_server(story: Story) -> None:
    story.sky.down()
    story.poll_while_down = story.fmon("poll", tries=1)
    newest = "select is_ok, error, job_count from poll order by polled_at desc limit 1"
    story.heartbeat_while_down = story.rows(newest)[0]
    story.job_count_while_down = story.rows("select count(*) as n from job")[0]["n"]
    story.came_up_by_itself = story.sky.is_up()
    story.sky.up()
    story.sky.queue()  # a fresh server resumes its jobs first; under load that takes longer than a poll waits
    story.cron_poll = poll_like_cron(story)


def poll_like_cron(story: Story) -> subprocess.CompletedProcess[str]:
    """Poll as cron does: a bare environment, another folder, no terminal; the config has the endpoint."""
    home = story.folder / "home"
    (home / ".sky").mkdir(parents=True)
    (home / ".sky/config.yaml").write_text(f"api_server: {{endpoint: {story.sky.endpoint}}}\n")
    bare = ["env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "SHELL=/bin/sh"]
    for _ in range(3):  # the next minute's looks, where the server is still busy with its start
        done = subprocess.run(
            [*bare, FMON, "poll", "--data", str(story.data)],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            start_new_session=True,
        )  # fmt: skip
        if done.returncode != QUEUE_UNREACHABLE:
            break
    return done


def test_adopt_tells_strangers_and_missing_conditions_apart(story: Story) -> None:
    assert story.adopted is not None
    assert story.adopted.returncode == 0, story.adopted.stderr
    assert story.adopted.stdout.startswith("followed-")
    assert all(name in story.adopted.stderr for name in LATE)
    attached = {row["job_id"] for row in story.rows("select job_id from condition")}
    assert story.ids[STRANGER] not in attached


def test_jobs_that_appear_later_are_attached_to_their_conditions(story: Story) -> None:
    attached = {
        row["condition_id"]: row["job_id"] for row in story.rows("select condition_id, job_id from condition")
    }
    assert attached.pop(TWICE) in (story.ids[TWICE], story.duplicate_id)
    assert attached == {name: story.ids[name] for name in ENDED_AS if name != TWICE}


def test_every_stored_status_and_time_is_what_skypilot_says(story: Story) -> None:
    query = """
        select job_id, status, recovery_count, epoch_us(submitted_at), epoch_us(start_at), epoch_us(end_at)
        from job
    """
    stored = {row[0]: row[1:] for row in fmon.connect(story.data).execute(query).fetchall()}
    told = {
        record["job_id"]: (record["status"], record["recovery_count"], *(us(record[name]) for name in TIMES))
        for record in story.queue
        if record["job_id"] in stored
    }
    assert set(stored) == {*story.ids.values(), story.duplicate_id} - {story.ids[STRANGER]}
    assert stored == told


def test_every_condition_ended_as_its_job_did(story: Story) -> None:
    rows = story.rows(
        "select condition.condition_id, job.status from condition join job using (experiment_id, job_id)"
    )
    assert {row["condition_id"]: row["status"] for row in rows} == ENDED_AS


def test_a_poll_while_the_server_is_down_exits_11_and_loses_nothing(story: Story) -> None:
    assert story.poll_while_down is not None
    assert story.poll_while_down.returncode == QUEUE_UNREACHABLE, story.poll_while_down
    assert "Traceback" not in story.poll_while_down.stderr
    assert story.job_count_while_down == len(EARLY) + len(LATE)
    assert story.heartbeat_while_down["is_ok"] is False
    assert "refused" in story.heartbeat_while_down["error"]
    assert story.heartbeat_while_down["job_count"] is None


def test_a_poll_never_starts_a_server(story: Story) -> None:
    assert not story.came_up_by_itself


def test_the_poll_after_the_server_is_back_carries_on_under_cron(story: Story) -> None:
    assert story.cron_poll is not None
    assert story.cron_poll.returncode == 0, story.cron_poll.stderr
    down_at = "(select min(polled_at) from poll where error like '%refused%')"
    newer = story.rows(f"select count(*) as n from poll where is_ok and polled_at > {down_at}")
    assert newer[0]["n"] > 1


def test_a_preempted_job_is_seen_recovering_and_running_again(story: Story) -> None:
    steps = story.rows(
        f"select to_status from transition where job_id = {story.ids[PREEMPTED]} order by seen_at"
    )
    statuses = [step["to_status"] for step in steps]
    recovered = statuses.index("RECOVERING")
    assert "RUNNING" in statuses[:recovered]
    assert "RUNNING" in statuses[recovered:]
    assert statuses[-1] == "SUCCEEDED"


def test_a_second_job_of_one_condition_raises_the_duplicate_alarm(story: Story) -> None:
    alarms = story.rows("select condition_id from alarm where kind = 'duplicate'")
    assert {alarm["condition_id"] for alarm in alarms} == {TWICE}


def test_only_the_job_with_a_wrong_variable_raises_the_alarm_though_its_yaml_is_right(story: Story) -> None:
    alarms = story.rows("select job_id, message, cleared_at from alarm where kind = 'wrong_variables'")
    assert [(alarm["job_id"], alarm["cleared_at"]) for alarm in alarms] == [(story.ids[BY_HAND], None)]
    assert "ran with different values of LOSS than its condition" in alarms[0]["message"]
    recorded = {record["job_id"]: record["user_yaml"] for record in story.queue}
    assert WRONG["LOSS"] not in recorded[story.ids[BY_HAND]].replace(BY_HAND, "")


def test_a_failed_setup_raises_its_alarm(story: Story) -> None:
    alarms = story.rows("select job_id from alarm where kind = 'failed_setup'")
    assert [alarm["job_id"] for alarm in alarms] == [story.ids["segresnet-dice_ce"]]


def test_cost_covers_at_least_the_time_skypilot_counts(story: Story) -> None:
    counted_s = {record["job_id"]: record["job_duration"] for record in story.queue}
    ran = story.rows("select job_id, cost_usd from job where start_at is not null")
    for row in ran:
        assert row["cost_usd"] >= round(counted_s[row["job_id"]] / 3600 * 2.5, 3), row
    assert sum(row["cost_usd"] > 0 for row in ran) >= len(ENDED_AS) - 1  # one may be cancelled at its start


def test_status_ends_with_four_where_all_ended_and_not_all_succeeded(story: Story) -> None:
    done = story.fmon("status", "--exit-status")
    assert done.returncode == NOT_ALL_SUCCEEDED, done.stderr
    assert all(name in done.stdout for name in ENDED_AS)


def test_the_report_has_one_line_per_condition_and_a_page(story: Story) -> None:
    done = story.fmon("report", "--out-dir", str(story.folder / "reports"))
    assert done.returncode == 0, done.stderr
    jsonl, page = (Path(line) for line in done.stdout.split())
    *conditions, summary = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert len(conditions) == len(ENDED_AS)
    assert summary
    assert all(name in page.read_text() for name in ENDED_AS)


def us(epoch_s: float | None) -> int | None:
    """Turn SkyPilot's time into what the store keeps: microseconds."""
    return None if epoch_s is None or epoch_s < 0 else round(epoch_s * 1e6)
