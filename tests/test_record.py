"""fmon record writes what fmon replay reads."""

from datetime import timedelta

import pytest

from fmon.errors import ConfigError, QueueError
from fmon.phases import record as module
from fmon.phases.record import record
from fmon.phases.replay import replay
from fmon.warehouse import connect, rows
from tests.queues import START, FakeQueue, job, write_config

NAMES = ["dynunet-dice_ce", "dynunet-dice_ce_cldice", "sam3-dice_ce", "sam3-dice_ce_cldice"]
RUNNING = [job(number, name, start_at=START.timestamp()) for number, name in enumerate(NAMES, start=1)]
SECRET = "hf_" + "a1B2" * 9


@pytest.fixture
def logs(monkeypatch):
    """The logs of jobs; SkyPilot's own are read in tests/e2e."""
    kept = {}
    monkeypatch.setattr(module, "job_log", lambda job_id, *, controller: kept[job_id, controller])
    return kept


def run(config, out, *polls):
    ticks = iter(START + timedelta(seconds=second) for second in range(0, 6000, 10))
    return list(
        record(
            config,
            FakeQueue(*polls),
            out,
            interval_s=60,
            clock=lambda: next(ticks),
            sleep=lambda seconds: None,
        )
    )


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
        logs[seen["job_id"], False] = f"token={SECRET}\nlast line"
        logs[seen["job_id"], True] = "controller"
    out = tmp_path / "out"
    stranger = job(99, "dynunet-dice_ce_cldice_more")
    down = QueueError("down", error_type="ApiServerConnectionError")
    said = run(config, out, [*RUNNING, stranger], down, [*done, failed, stranger])
    assert said[0] == "4 jobs of the experiment, 4 open"
    assert "last line" in (out / "logs/4.log").read_text()
    everything = "".join(path.read_text() for path in out.rglob("*") if path.is_file())
    assert SECRET not in everything
    assert "cldice_more" not in everything
    replay(out, tmp_path / "data")
    con = connect(tmp_path / "data")
    found = rows(con, "select state, count(*)::bigint as n from condition group by all order by all")
    assert found == [{"state": "failed", "n": 1}, {"state": "succeeded", "n": 3}]
    assert [row["is_ok"] for row in rows(con, "select is_ok from poll order by poll_id")] == [
        True,
        False,
        True,
    ]
    stored = rows(con, "select job_id, submitted_at, start_at, end_at from job where job_id = 4")[0]
    assert stored["end_at"] == START + timedelta(seconds=90)


def test_a_log_that_cannot_be_had_is_said(tmp_path, monkeypatch):
    def gone(job_id, *, controller):
        raise QueueError("log is gone", error_type="Timeout")

    monkeypatch.setattr(module, "job_log", gone)
    done = [{**seen, "status": "SUCCEEDED"} for seen in RUNNING]
    said = run(write_config(tmp_path), tmp_path / "out", done)
    assert said[-1] == "job 4: no log (log is gone)"


def test_a_folder_of_another_recording_is_refused(tmp_path, logs):
    out = tmp_path / "out"
    out.mkdir()
    (out / "experiment.yaml").write_text("experiment_name: other\n")
    with pytest.raises(ConfigError, match="another config"):
        run(write_config(tmp_path), out, RUNNING)


def test_a_torn_line_of_a_killed_recorder_is_cut_off(tmp_path, logs):
    config, out = write_config(tmp_path), tmp_path / "out"
    logs.update({(number, controller): "" for number in range(1, 5) for controller in (True, False)})
    done = [{**seen, "status": "SUCCEEDED"} for seen in RUNNING]
    run(config, out, done)
    whole = (out / "queue.jsonl").read_text()
    (out / "queue.jsonl").write_text(whole + '{"polled_at": "2026')
    run(config, out, done)
    assert (out / "queue.jsonl").read_text() == whole * 2
