# ruff: noqa: E501 -- lines of logs are easier to read in one line
"""Jobs of several tasks: each failure is judged, and shown, by its own part of the logs."""

from datetime import timedelta

import pytest

from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest
from fmon.monitor.classify import MOST_ASKS, examine
from fmon.monitor.poll import poll
from fmon.monitor.show_log import logs
from fmon.sky.reader import LogRequest
from fmon.store.findings import read_findings
from fmon.store.folder import stores
from fmon.store.job_logs import load_log
from tests.support.parts import HINT, STARTED, parts
from tests.support.queues import NAMES, START, FakeLogs, FakeQueue, job
from tests.support.world import write_config

CAUGHT = (
    'Traceback (most recent call last):\n  File "prep.py", line 3, in load\n    json.load(open("cache.json"))\n'
    "FileNotFoundError: [Errno 2] No such file or directory: 'cache.json'\nbuilding it\n"
)
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.\n"
EXIT = "srun: error: node1: task 0: Exited with exit code 3\n"
CONTROLLER = (
    "Processing task 0/1: t0\nStarting task 0 (t0) for job 1\n" + CAUGHT + "Processing task 1/1: t1\n"
    "Starting task 1 (t1) for job 1\nsky.exceptions.ResourcesUnavailableError: no H100 anywhere\n"
)
OWN, CONTROLLERS = LogRequest(1), LogRequest(1, is_controller=True)
ENDED = {"start_at": START.timestamp() + 60, "end_at": START.timestamp() + 600}


def pipeline(*statuses):
    return [
        job(1, NAMES[0], status, task_id=task, task_name=f"t{task}", **(ENDED if status != "RUNNING" else {}))
        for task, status in enumerate(statuses)
    ]


def other_jobs():
    return [job(number, name, "RUNNING") for number, name in enumerate(NAMES[1:], start=2)]


@pytest.fixture
def failed(tmp_path):
    """Make an experiment whose first job has these tasks."""

    def make(*statuses):
        queue = FakeQueue([*pipeline(*statuses), *other_jobs()])
        adopt(write_config(tmp_path / "config"), queue, tmp_path / "data", now=START)
        return stores(tmp_path / "data")[0]

    return make


def examined(store, reader, *, minute=0):
    examine(store, read_manifest(store), reader, now=START + timedelta(minutes=minute))
    return {task: row for (_, task), row in read_findings(store).items()}


def test_an_error_that_the_first_task_caught_is_not_the_cause_of_the_second(failed):
    store = failed("SUCCEEDED", "FAILED")
    found = examined(store, FakeLogs({OWN: parts(CAUGHT, "epoch 1\n" + OOM)}))
    assert found.keys() == {1}
    assert found[1]["category"] == "cuda_oom"
    lines = load_log(store, "1.log").split("\n")
    assert lines[found[1]["evidence_line"] - 1].startswith("torch.OutOfMemoryError")


def test_each_of_two_failed_tasks_has_its_own_cause(failed):
    found = examined(failed("FAILED", "FAILED"), FakeLogs({OWN: parts(CAUGHT, OOM)}))
    assert found[0]["category"] == "data_missing"
    assert found[1]["category"] == "cuda_oom"


def test_a_task_that_printed_nothing_is_judged_by_its_part_of_the_controllers_log(failed):
    logs_of = FakeLogs({OWN: parts(CAUGHT, EXIT), CONTROLLERS: CONTROLLER})
    found = examined(failed("SUCCEEDED", "FAILED"), logs_of)
    assert (found[1]["category"], found[1]["source"]) == ("no_resource", "controller_log")
    assert logs_of.asked == [OWN, CONTROLLERS]
    assert found[1]["log_error"] is None


def test_what_skypilot_cleans_up_is_not_the_cause_of_a_silent_failure(failed):
    controller = CONTROLLER.rpartition("sky.exceptions")[0] + "Cluster(s) not found: t1-1.\nt1-1 is down\n"
    found = examined(
        failed("SUCCEEDED", "FAILED"), FakeLogs({OWN: parts(CAUGHT, EXIT), CONTROLLERS: controller})
    )
    assert found[1]["category"] == "unknown"


def test_the_name_of_skypilots_mark_in_a_programs_output_moves_no_error_to_another_task(failed):
    forged = "(t0, pid=7) === Task t1(1) ===\n(t0, pid=7) " + CAUGHT.replace("\n", "\n(t0, pid=7) ") + "\n"
    store = failed("SUCCEEDED", "FAILED")
    assert examined(store, FakeLogs({OWN: parts(forged, OOM)}))[1]["category"] == "cuda_oom"


class TestOpenTasks:
    """A task has failed while another one of its job runs: SkyPilot shows only the other one's log."""

    @pytest.mark.slow
    def test_the_log_is_read_when_the_job_has_ended(self, failed, tmp_path):
        store = failed("FAILED", "RUNNING")
        reader = FakeLogs(
            {OWN: f"{HINT}{STARTED}{OOM}", CONTROLLERS: "Running as Job Group with 2 parallel jobs\n"}
        )
        found = examined(store, reader)
        assert found[0]["category"] != "cuda_oom"
        assert OWN not in reader.asked
        assert "another task until the job has ended" in found[0]["log_error"]
        for hour in range(1, MOST_ASKS + 4):
            found = examined(store, reader, minute=60 * hour)
        assert found[0]["is_given_up"] is False
        reader.texts[OWN] = parts(CAUGHT, "fine\n")
        ended = FakeQueue([*pipeline("FAILED", "SUCCEEDED"), *other_jobs()])
        poll(tmp_path / "data", ended, now=START + timedelta(days=2), logs=reader)
        found = {task: row for (_, task), row in read_findings(store).items()}
        assert (found[0]["category"], found[0]["log_error"]) == ("data_missing", None)


class TestInstead:
    """SkyPilot printed something else instead of a log."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Job 1 is already in terminal state FAILED. For more details, run: sky jobs logs --controller 1\n",
            f"{HINT}Task t0(0) log has been cleaned at 2026-03-01 10:00:00.\n",
            parts(CAUGHT),
        ],
        ids=["empty", "terminal", "cleaned", "no part"],
    )
    def test_it_is_a_fact_until_the_log_arrives(self, failed, text):
        store = failed("SUCCEEDED", "FAILED")
        reader = FakeLogs({OWN: text, CONTROLLERS: CONTROLLER})
        found = examined(store, reader)
        assert (found[1]["category"], found[1]["log_state"]) == ("no_resource", "stored")
        assert found[1]["log_error"]
        assert not found[1]["is_given_up"]
        assert reader.asked == [OWN, CONTROLLERS]
        reader.texts[OWN] = parts(CAUGHT, OOM)
        found = examined(store, reader, minute=5)
        assert (found[1]["category"], found[1]["log_error"]) == ("cuda_oom", None)

    @pytest.mark.slow
    def test_a_part_that_was_stored_is_not_lost_to_a_later_log_without_it(self, failed):
        store = failed("FAILED", "FAILED")
        reader = FakeLogs({OWN: parts(CAUGHT), CONTROLLERS: CONTROLLER})
        examined(store, reader)
        reader.texts[OWN] = (
            f"{HINT}Task t0(0) log has been cleaned at 2026-03-01 10:00:00.\n=== Task t1(1) ===\n{OOM}"
        )
        found = examined(store, reader, minute=5)
        assert found[0]["category"] == "data_missing"
        assert "cache.json" in load_log(store, "1.log")


class TestShown:
    def show(self, tmp_path, **options):
        return logs(tmp_path / "data", None, "1", FakeLogs(), **options)

    def test_the_part_of_the_failed_task_is_shown(self, failed, tmp_path):
        examined(failed("SUCCEEDED", "FAILED", "CANCELLED"), FakeLogs({OWN: parts(CAUGHT, OOM)}))
        found = self.show(tmp_path)
        assert "OutOfMemoryError" in found.text
        assert "cache.json" not in found.text
        assert found.sentence() == f"log of task 1 (t1) of job 1 ({NAMES[0]}), stored"

    def test_of_a_silent_task_its_part_of_the_controllers_is_shown(self, failed, tmp_path):
        store = failed("SUCCEEDED", "FAILED")
        examined(store, FakeLogs({OWN: parts(CAUGHT, EXIT), CONTROLLERS: CONTROLLER}))
        found = self.show(tmp_path)
        assert found.text.startswith("Processing task 1/1: t1\n")
        assert "cache.json" not in found.text
        assert found.sentence().startswith("controller's log of task 1 (t1) of job 1")

    def test_the_entire_log_is_shown_if_no_task_failed(self, failed, tmp_path):
        failed("SUCCEEDED", "RUNNING")
        text = f"{HINT}{STARTED}step 1\n"
        found = logs(tmp_path / "data", None, "1", FakeLogs({OWN: text}))
        assert ("".join(found.pieces()), found.task) == (text, None)
