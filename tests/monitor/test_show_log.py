"""fmon logs: the stored log of a condition or job, else the live one."""

import pytest

from fmon.cli.services import Services
from fmon.errors import ConfigError, QueueError
from fmon.launch.adopt import adopt
from fmon.monitor.poll import poll
from fmon.monitor.show_log import chosen_jobs, logs
from fmon.sky.reader import LogRequest
from tests.support.queues import NAMES, START, FakeLogs, FakeQueue, job
from tests.support.typed import typed
from tests.support.world import write_config

ENDED = {"start_at": START.timestamp(), "end_at": START.timestamp() + 60}
JOBS = [
    job(1, NAMES[0]),
    job(2, NAMES[1], "FAILED", **ENDED),
    job(3, NAMES[2], "FAILED", **ENDED),
    job(4, NAMES[2], "FAILED_SETUP", minutes=5, **ENDED),
]
CONTROLLER = {"is_controller": True}


class Live(Services):
    """Only logs are to be had."""

    def __init__(self, logs):
        self.logs = logs

    def open_logs(self, source):
        return self.logs


@pytest.fixture
def data(tmp_path):
    """Job 1 runs; 2 failed in silence; 3 and then 4 are of one condition."""
    texts = {
        LogRequest(2, **CONTROLLER): "no node for job 2\n",
        LogRequest(3): "third\n",
        LogRequest(4): "fourth \rbell\n",
        LogRequest(4, **CONTROLLER): "setup of job 4\n",
    }
    queue = FakeQueue(JOBS)
    adopt(write_config(tmp_path / "config"), queue, tmp_path / "data", now=START)
    poll(tmp_path / "data", queue, now=START, logs=FakeLogs(texts))
    return tmp_path / "data"


def test_a_condition_shows_the_stored_log_of_its_newest_job(data):
    live = FakeLogs()
    found = logs(data, None, "sam3-dice_ce", live)
    assert (found.text, found.is_stored, found.others) == ("fourth \rbell\n", True, [3])
    assert found.sentence() == "log of job 4 (sam3-dice_ce), stored; other jobs of the condition: 3"
    assert live.asked == []


def test_a_job_id_shows_an_earlier_attempt(data):
    assert logs(data, None, "3", FakeLogs()).text == "third\n"


@pytest.mark.slow
def test_the_controllers_log_is_shown_on_request_and_where_the_job_was_silent(data):
    assert logs(data, None, "4", FakeLogs(), controller=True).text == "setup of job 4\n"
    found = logs(data, None, "2", FakeLogs())
    assert found.text == "no node for job 2\n"
    assert found.sentence().startswith("controller's log of job 2")


def test_a_log_that_is_not_stored_is_read_live_cleaned_and_redacted(data):
    live = FakeLogs({LogRequest(1): "(dynunet-dice_ce, pid=7) \x1b[31mepoch 1 MY_TOKEN=abcdef\x1b[0m\n"})
    found = logs(data, None, "dynunet-dice_ce", live)
    assert ("".join(found.pieces()), found.is_stored) == ("epoch 1 MY_TOKEN=[redacted:token]\n", False)


@pytest.mark.parametrize("answer", [QueueError("no server", error_type="Timeout"), "Job 1 not found."])
def test_a_live_log_that_cannot_be_had_is_a_queue_error(data, answer):
    with pytest.raises(QueueError, match=r"no log of job 1: (no server|SkyPilot does not know the job)"):
        list(logs(data, None, "1", FakeLogs({LogRequest(1): answer})).pieces())


@pytest.mark.parametrize("status", ["RECOVERING", "SUCCEEDED"])
def test_the_stored_log_of_a_job_that_ran_again_is_not_that_of_its_last_run(data, status):
    again = {} if status == "RECOVERING" else ENDED
    poll(data, FakeQueue([JOBS[0], job(2, NAMES[1], status, **again), *JOBS[2:]]), now=START)
    found = logs(data, None, "2", FakeLogs({LogRequest(2): "second try\n"}))
    assert ("".join(found.pieces()), found.is_stored) == ("second try\n", False)
    assert found.sentence() == f"log of job 2 ({NAMES[1]}), live"


def test_an_unknown_condition_is_refused_with_the_nearest_one(data):
    with pytest.raises(ConfigError, match=r"no condition or job 'sam3-dice'; did you mean 'sam3-dice_ce'\?"):
        logs(data, None, "sam3-dice", FakeLogs())


def test_a_condition_that_was_never_launched_has_no_log(data):
    with pytest.raises(ConfigError, match="has no job yet"):
        logs(data, None, "sam3-dice_ce_cldice", FakeLogs())


def test_the_command_prints_the_log_alone_on_stdout_with_control_characters_made_visible(data):
    done = typed(Live(FakeLogs()), "logs", "4", "--data", data)
    assert done.exit_code == 0
    assert done.stdout == "fourth \\rbell\n"
    assert done.stderr.startswith("log of job 4 ")


@pytest.mark.slow
def test_a_selection_prints_each_log_below_its_name(data):
    done = typed(Live(FakeLogs()), "logs", "state=failed", "3", "--data", data)
    assert done.exit_code == 0, done.exception
    assert done.stdout.splitlines() == [
        "==> sam3-dice_ce (job 3) <==",
        "third",
        "==> dynunet-dice_ce_cldice (job 2) <==",
        "no node for job 2",
        "==> sam3-dice_ce (job 4) <==",
        "fourth \\rbell",
    ]


def test_of_several_logs_those_that_can_be_had_are_printed_before_it_fails(data):
    live = FakeLogs({LogRequest(1): QueueError("no server", error_type="x")})
    done = typed(Live(live), "logs", "1", "model=sam3", "--data", data)
    assert isinstance(done.exception, QueueError)
    assert done.stdout.splitlines() == ["==> sam3-dice_ce (job 4) <==", "fourth \\rbell"]


@pytest.mark.slow
def test_a_selection_without_a_job_is_refused(data):
    with pytest.raises(ConfigError, match=r"no condition of \S+ with state=missing has a job"):
        chosen_jobs(data, None, ["state=missing"], now=START)
