"""fmon record writes what fmon replay reads."""

from datetime import timedelta

import pytest

from fmon.clock import Clock
from fmon.errors import ConfigError, QueueError
from fmon.job_key import job_key
from fmon.monitor.record import record
from fmon.monitor.replay import replay
from fmon.sky.reader import LogRequest
from tests.support.queries import select
from tests.support.queues import NAMES, START, FakeLogs, FakeQueue, ended, job
from tests.support.world import write_config

RUNNING = [job(number, name, start_at=START.timestamp()) for number, name in enumerate(NAMES, start=1)]
SECRET = "hf_" + "a1B2" * 9


@pytest.fixture
def logs():
    """The logs of jobs; SkyPilot's own are read in tests/e2e."""
    return FakeLogs()


def run(config, out, *polls, logs, first_minute=0, **limit):
    start = START + timedelta(minutes=first_minute)
    ticks = iter(start + timedelta(seconds=second) for second in range(0, 6000, 10))
    return list(
        record(
            config,
            FakeQueue(*polls, start=start),
            out,
            interval_s=60,
            clock=Clock(now=lambda: next(ticks), sleep=lambda seconds: None),
            logs=logs,
            **limit,
        )
    )


@pytest.mark.slow
def test_a_recording_replays_to_the_same_states(tmp_path, logs):
    config = write_config(tmp_path)
    done = [{**seen, "status": "SUCCEEDED", "end_at": START.timestamp() + 60} for seen in RUNNING[:3]]
    failed = {
        **RUNNING[3],
        "status": "FAILED",
        "end_at": START.timestamp() + 90,
        "failure_reason": f"key {SECRET}",
    }
    for seen in RUNNING:
        logs.texts[LogRequest(seen["job_id"])] = f"token={SECRET}\nlast line"
        logs.texts[LogRequest(seen["job_id"], is_controller=True)] = "controller"
    out = tmp_path / "out"
    stranger = job(99, "dynunet-dice_ce_cldice_more")
    down = QueueError("down", error_type="ApiServerConnectionError")
    said = run(config, out, [*RUNNING, stranger], down, [*done, failed, stranger], logs=logs)
    assert said[0] == "4 jobs of the experiment, 4 open"
    assert "last line" in (out / "logs/4.log").read_text()
    everything = "".join(path.read_text() for path in out.rglob("*") if path.is_file())
    assert SECRET not in everything
    assert "cldice_more" not in everything
    replay(out, tmp_path / "data")
    found = select(
        tmp_path / "data", "select state, count(*)::bigint as n from condition group by all order by all"
    )
    assert found == [{"state": "failed", "n": 1}, {"state": "succeeded", "n": 3}]
    assert [row["is_ok"] for row in select(tmp_path / "data", "select is_ok from poll order by poll_id")] == [
        True,
        False,
        True,
    ]
    stored = select(
        tmp_path / "data", "select job_id, submitted_at, start_at, end_at from job where job_id = 4"
    )[0]
    assert stored["end_at"] == START + timedelta(seconds=90)


def test_the_limit_on_conditions_can_be_set(tmp_path, logs):
    with pytest.raises(ConfigError, match="more than 3"):
        run(write_config(tmp_path), tmp_path / "out", RUNNING, logs=logs, max_conditions=3)


def test_a_log_that_cannot_be_had_is_said(tmp_path, logs):
    logs.texts[LogRequest(1)] = QueueError("log is gone", error_type="Timeout")
    done = [{**seen, "status": "SUCCEEDED"} for seen in RUNNING]
    said = run(write_config(tmp_path), tmp_path / "out", done, logs=logs)
    assert said[1] == "no 1.log (log is gone)"
    assert said[-1] == "7 of 8 logs saved"


def test_a_folder_of_another_recording_is_refused(tmp_path, logs):
    out = tmp_path / "out"
    out.mkdir()
    (out / "experiment.yaml").write_text("experiment_name: other\n")
    with pytest.raises(ConfigError, match="another config"):
        run(write_config(tmp_path), out, RUNNING, logs=logs)


def test_a_torn_line_of_a_killed_recorder_is_cut_off(tmp_path, logs):
    config, out = write_config(tmp_path), tmp_path / "out"
    done = [{**seen, "status": "SUCCEEDED"} for seen in RUNNING]
    run(config, out, done, logs=logs)
    whole = (out / "queue.jsonl").read_text()
    (out / "queue.jsonl").write_text(whole + '{"polled_at": "2026')
    run(config, out, done, logs=logs)
    assert (out / "queue.jsonl").read_text() == whole * 2


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [60, 0.1], ids=["the-next-day", "seconds-later"])
def test_a_recording_that_is_resumed_keeps_apart_the_jobs_that_had_an_id(tmp_path, logs, minutes):
    config, out, name = write_config(tmp_path), tmp_path / "out", NAMES[0]
    for number, text in enumerate(["CUDA out of memory", "No module named 'monai'"]):
        run_at = number * minutes
        fields = {"start_at": START.timestamp() + 60 * run_at + 1, "failure_reason": "exit code 1"}
        runs = job(1, name, minutes=run_at, **fields)
        done = ended(runs, "FAILED", minutes=run_at + 0.05, **fields)
        key = job_key(1, number)
        logs.texts = {LogRequest.of(key): text, LogRequest.of(key, is_controller=True): "controller"}
        run(config, out, [runs], [done], logs=logs, first_minute=run_at)
    assert (out / "logs/1.log").read_text() == "CUDA out of memory"
    assert (out / "logs/1.2.log").read_text() == "No module named 'monai'"
    replay(out, tmp_path / "data")
    found = select(tmp_path / "data", "select job_key, log_state, evidence from finding order by job_key")
    assert [(row["job_key"], row["evidence"]) for row in found] == [
        (1, "CUDA out of memory"),
        (job_key(1, 1), "No module named 'monai'"),
    ]
