"""Failures are examined once, whatever comes in between, and a quiet poll does not pay for it."""

import contextlib
import json
import shutil
import subprocess
import sys
from datetime import timedelta
from itertools import count

import pytest

import fmon.causes
import fmon.monitor.classify
import fmon.store.log
from fmon.errors import QueueError
from fmon.launch.adopt import adopt
from fmon.manifest.file import read_manifest
from fmon.model import Pattern
from fmon.monitor.classify import MOST_ASKS, Budget, examine
from fmon.monitor.poll import poll
from fmon.monitor.replay import replay
from fmon.monitor.show_log import logs
from fmon.sky.logs import NoLogs
from fmon.sky.reader import LogMissingError, LogRequest
from fmon.store import unexamined
from fmon.store.durable import lock
from fmon.store.findings import read_findings
from fmon.store.folder import Store, stores
from fmon.store.job_logs import load_log
from tests.support.death import Death, Killed
from tests.support.queries import select
from tests.support.queues import RUNNING, START, FakeLogs, FakeQueue, ended
from tests.support.world import CONFIG, write_config

OOM = """\
(sam3-dice_ce, pid=7) Traceback (most recent call last):
(sam3-dice_ce, pid=7)   File "/app/train.py", line 8, in <module>
(sam3-dice_ce, pid=7)     loss = model(batch)
(sam3-dice_ce, pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB.
"""
DOWN = QueueError("no server", error_type="HTTP503")
GONE = LogMissingError("SkyPilot does not know the job")
COLUMNS = "job_id, log_state, log_error, is_given_up, ask_count::bigint as ask_count, category, source"


FAILED = [*RUNNING[:2], ended(RUNNING[2], "FAILED"), ended(RUNNING[3], "FAILED")]


@pytest.fixture
def store(config, data):
    """An experiment two of whose jobs have failed, not examined yet."""
    adopt(config, FakeQueue(FAILED), data, now=START)
    return stores(data)[0]


def look(data, logs, *, minute=1, queue=None):
    """Poll with logs to be had."""
    return poll(data, queue or FakeQueue(FAILED), now=START + timedelta(minutes=minute), logs=logs)


def findings(data, columns=COLUMNS):
    return select(data, f"select {columns} from finding order by job_id, task_id")


def oom_logs():
    return FakeLogs({LogRequest(3): OOM, LogRequest(4): "bash: line 3: python4: command not found\n"})


def test_a_poll_stores_the_log_of_each_failure_and_its_cause(store, data):
    polled = look(data, oom_logs())
    found = findings(data, "job_id, log_state, category, source, evidence_line, examined_at, ask_count")
    assert [(row["job_id"], row["category"]) for row in found] == [(3, "cuda_oom"), (4, "shell_error")]
    assert {row["log_state"] for row in found} == {"stored"}
    assert found[0]["examined_at"] == START + timedelta(minutes=1)
    lines = load_log(store, "3.log").split("\n")
    assert lines[found[0]["evidence_line"] - 1].startswith("torch.OutOfMemoryError: ")
    assert polled.examined[0].sentence() == "2 failures examined: 1 cuda_oom, 1 shell_error"


@pytest.mark.slow
def test_no_secret_reaches_the_disk(store, data):
    secret = "hf_" + "a1B2" * 9
    look(
        data,
        FakeLogs(
            {LogRequest(3): f"HF_TOKEN={secret}\n{OOM}", LogRequest(4): f"ValueError: {secret} is bad\n"}
        ),
    )
    assert "HF_TOKEN=[redacted:huggingface]" in load_log(store, "3.log")
    everything = b"".join(path.read_bytes() for path in store.path.rglob("*") if path.is_file())
    assert secret.encode() not in everything
    assert secret not in str(findings(data, "*"))
    assert secret not in load_log(store, "3.log")


def test_a_quiet_poll_asks_for_no_log_and_reads_no_findings(store, data, monkeypatch):
    look(data, oom_logs())
    monkeypatch.setattr(fmon.monitor.classify, "examine", pytest.fail)
    logs = FakeLogs()
    assert look(data, logs, minute=2).examined == []
    assert logs.asked == []


def test_a_poll_that_sees_no_failure_leaves_no_mark(config, data):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    look(data, FakeLogs(), queue=FakeQueue(RUNNING))
    assert not stores(data)[0].unexamined.exists()
    assert not stores(data)[0].findings.exists()


@pytest.mark.slow
def test_the_controllers_log_is_read_where_the_run_log_is_silent_or_the_status_says_so(config, data):
    failed = [
        ended(RUNNING[0], "FAILED"),
        ended(RUNNING[1], "FAILED"),
        ended(RUNNING[2], "FAILED_SETUP"),
        ended(RUNNING[3], "FAILED_NO_RESOURCE", failure_reason="no H100"),
    ]
    logs = FakeLogs({LogRequest(1): OOM, LogRequest(3): "(setup pid=5) pip install\n"})
    adopt(config, FakeQueue(failed), data, now=START)
    polled = look(data, logs, queue=FakeQueue(failed))
    controllers = {ask.job_id for ask in logs.asked if ask.is_controller}
    assert controllers == {2, 3, 4}
    assert (
        polled.examined[0]
        .sentence()
        .endswith("no log of job 2 (it is empty), job 4 (it is empty), the controller of job 3 (it is empty)")
    )
    assert len(logs.asked) == len(set(logs.asked)) == 7
    assert findings(data)[0]["source"] == "log"


@pytest.mark.slow
def test_a_log_that_cannot_be_had_is_a_fact_and_asked_for_again_less_and_less_often(store, data):
    logs = FakeLogs({LogRequest(3): OOM, LogRequest(4): DOWN, LogRequest(4, is_controller=True): DOWN})
    polled = look(data, logs)
    assert polled.examined[0].missing == {4: "no server"}
    row = findings(data)[1]
    assert (row["log_state"], row["log_error"], row["ask_count"]) == ("missing", "no server", 1)
    asked_at = []
    for minute in range(2, 130):
        before = len(logs.asked)
        look(data, logs, minute=minute)
        if len(logs.asked) > before:
            asked_at.append(minute)
    assert asked_at == [2, 4, 8, 16, 32, 64, 124]
    assert logs.asked.count(LogRequest(3)) == 1
    logs.texts[LogRequest(4)] = OOM
    look(data, logs, minute=190)
    row = findings(data)[1]
    assert (row["log_state"], row["log_error"], row["category"]) == ("stored", None, "cuda_oom")
    assert not store.unexamined.exists()


@pytest.mark.slow
def test_after_many_times_a_log_is_given_up_and_that_is_said(store, data):
    logs = FakeLogs({LogRequest(3): OOM, LogRequest(4): DOWN, LogRequest(4, is_controller=True): DOWN})
    said = [
        sentence
        for hour in range(1, MOST_ASKS + 5)
        for examined in look(data, logs, minute=60 * hour).examined
        if (sentence := examined.sentence())
    ]
    assert len(said) == MOST_ASKS
    assert said[-1].endswith("no log of job 4 (no server; given up)")
    assert findings(data)[1]["is_given_up"] is True
    assert not store.unexamined.exists()


def test_a_log_that_does_not_exist_is_asked_for_once(store, data):
    logs = FakeLogs({LogRequest(3): OOM, LogRequest(4): GONE, LogRequest(4, is_controller=True): GONE})
    look(data, logs)
    look(data, logs, minute=500)
    assert logs.asked.count(LogRequest(4)) == 1
    assert findings(data)[1]["log_error"] == "SkyPilot does not know the job"


def test_where_the_run_log_is_lost_the_controllers_is_read(store, data):
    logs = FakeLogs({LogRequest(4): "Job 4 not found.", LogRequest(4, is_controller=True): "provisioning\n"})
    look(data, logs)
    row = findings(data)[1]
    assert (row["log_state"], row["log_error"]) == ("stored", "SkyPilot does not know the job")
    assert load_log(store, "4.log") is None


def test_a_queue_from_a_file_has_no_logs_and_the_causes_are_judged_without(store, data):
    look(data, NoLogs("file:queue.json"))
    found = findings(data)
    assert [row["log_state"] for row in found] == ["missing", "missing"]
    assert "file:queue.json" in found[0]["log_error"]
    assert not store.unexamined.exists()


def test_a_failed_poll_asks_for_no_logs(store, data):
    logs = oom_logs()
    look(data, logs, queue=FakeQueue(QueueError("down", error_type="HTTP500")))
    assert logs.asked == []
    look(data, logs, minute=2)
    assert len(findings(data)) == 2


@pytest.mark.slow
def test_what_is_over_the_budget_of_one_poll_comes_with_the_next(store, data):
    logs = oom_logs()
    manifest = read_manifest(store)
    first = examine(store, manifest, logs, now=START, budget=Budget(jobs=1))
    assert (len(findings(data)), first.left_count) == (1, 1)
    assert first.sentence() == "1 failure examined: 1 cuda_oom; 1 failure without a log yet"
    look(data, logs)
    assert len(findings(data)) == 2
    assert len(logs.asked) == 2


@pytest.mark.slow
def test_an_experiment_that_was_just_closed_is_examined_by_the_next_poll(config, data):
    done = [ended(record, "SUCCEEDED") for record in RUNNING[:2]] + FAILED[2:]
    adopt(config, FakeQueue(done), data, now=START)
    assert stores(data)[0].is_closed
    queue = FakeQueue(done)
    polled = look(data, oom_logs(), queue=queue)
    assert polled.observed[0].is_unchanged
    assert len(findings(data)) == 2


def test_two_polls_never_examine_the_same_experiment_at_once(store, data):
    logs = oom_logs()
    with lock(store.path / ".examine.lock", wait_s=0):
        assert look(data, logs).examined[0].is_skipped
    assert logs.asked == []
    look(data, logs, minute=2)
    assert len(findings(data)) == 2


@pytest.mark.slow
def test_a_failure_that_comes_while_others_are_examined_is_not_forgotten(store, data):
    class Late(FakeLogs):
        def read(self, asks, *, timeout_s):
            poll(
                data,
                FakeQueue([*RUNNING[:1], *(ended(record, "FAILED") for record in RUNNING[1:])]),
                now=START,
            )
            yield from super().read(asks, timeout_s=timeout_s)

    examine(store, read_manifest(store), Late({LogRequest(3): OOM}), now=START)
    assert unexamined.is_due(store, START)
    examine(store, read_manifest(store), FakeLogs({LogRequest(2): OOM}), now=START)
    assert len(findings(data)) == 3


@pytest.mark.slow
def test_other_rules_or_patterns_examine_anew_from_the_stored_logs(store, data, monkeypatch):
    look(data, oom_logs())
    manifest = read_manifest(store)
    manifest.patterns = [
        Pattern(name="own", regex="Tried to allocate", category="config_error", confidence=1.0)
    ]
    again = examine(store, manifest, None, now=START + timedelta(hours=1))
    assert sum(again.categories.values()) == 2
    found = findings(data, "rules_version, log_state, ask_count, rule")
    assert "+" in found[0]["rules_version"]
    assert {row["log_state"] for row in found} == {"stored"}
    assert examine(store, manifest, None, now=START).categories == {}
    monkeypatch.setattr(fmon.causes, "RULES_VERSION", "another")
    assert sum(examine(store, manifest, None, now=START).categories.values()) == 2


@pytest.mark.slow
def test_without_a_reader_what_was_never_asked_for_stays_to_be_asked(store, data):
    examine(store, read_manifest(store), None, now=START)
    assert [row["log_error"] for row in findings(data)] == ["not requested yet"] * 2
    look(data, oom_logs())
    assert {row["log_state"] for row in findings(data)} == {"stored"}


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense PAR1"])
def test_a_damaged_file_of_findings_is_named_and_made_anew(store, data, damage):
    look(data, oom_logs())
    store.findings.write_bytes(damage)
    with pytest.warns(UserWarning, match=r"findings\.parquet is damaged"):
        assert findings(data) == []
    logs = FakeLogs()
    examine(store, read_manifest(store), logs, now=START)
    assert [row["category"] for row in findings(data)] == ["cuda_oom", "shell_error"]
    assert logs.asked == []


@pytest.mark.slow
def test_a_damaged_log_is_fetched_again(store, data):
    look(data, oom_logs())
    (store.job_logs / "3.log.zst").write_bytes(b"nonsense")
    store.findings.unlink()
    logs = oom_logs()
    examine(store, read_manifest(store), logs, now=START)
    assert logs.asked == [LogRequest(3)]
    assert findings(data)[0]["category"] == "cuda_oom"


@pytest.mark.slow
def test_each_failed_task_of_a_job_has_a_finding(config, data):
    tasks = [ended({**RUNNING[0], "task_id": number}, "FAILED") for number in (0, 1)]
    adopt(config, FakeQueue(tasks), data, now=START)
    logs = FakeLogs({LogRequest(1): OOM})
    look(data, logs, queue=FakeQueue(tasks))
    assert [row["category"] for row in findings(data, "task_id, category")] == ["cuda_oom"] * 2
    assert logs.asked == [LogRequest(1)]


@pytest.mark.slow
def test_a_replay_examines_with_the_recordings_logs_and_clock(tmp_path, data):
    recording = tmp_path / "recording"
    write_config(recording, CONFIG)
    lines = [(0, RUNNING), (1, FAILED), (2, FAILED)]
    (recording / "queue.jsonl").write_text("".join(map(line_of, lines)))
    (recording / "logs").mkdir()
    (recording / "logs/3.log").write_text(OOM)
    for _ in range(2):
        replay(recording, data)
        found = findings(data, "job_id, category, log_state, log_error, examined_at, ask_count")
        assert [row["examined_at"] for row in found] == [START + timedelta(minutes=1)] * 2
        assert [row["log_state"] for row in found] == ["stored", "missing"]
        assert found[0]["category"] == "cuda_oom"
        assert "the recording has no 4.log" in found[1]["log_error"]
    store = stores(data)[0]
    logs = oom_logs()
    unexamined.mark_pending(store)
    look(data, logs, queue=FakeQueue([]))
    examine(store, read_manifest(store), logs, now=START)
    assert logs.asked == [], "the live queue has other jobs under these ids"


def line_of(item):
    minute, jobs = item
    polled_at = (START + timedelta(minutes=minute)).isoformat()
    return json.dumps({"polled_at": polled_at, "jobs": jobs}) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_system_call_of_an_examination_costs_nothing(store, tmp_path, after):
    manifest = read_manifest(store)
    for at in count(1):
        copy = Store(tmp_path / f"copy{at}" / store.experiment_id)
        shutil.copytree(store.path, copy.path)
        with pytest.MonkeyPatch.context() as patched, contextlib.suppress(Killed):
            death = Death(patched, at, after=after)
            examine(copy, manifest, oom_logs(), now=START)
        assert unexamined.is_due(copy, START) or len(read_findings(copy)) == 2
        stored = {name for name in ("3.log", "4.log") if load_log(copy, name)}
        logs = oom_logs()
        examine(copy, manifest, logs, now=START)
        assert {ask.file_name for ask in logs.asked} == {"3.log", "4.log"} - stored
        assert [row["category"] for row in read_findings(copy).values()] == ["cuda_oom", "shell_error"], at
        assert not copy.unexamined.exists()
        assert not list(copy.job_logs.glob(".*.tmp"))
        if death.left > 0:
            assert at > 20
            return


def test_the_mark_stands_before_the_poll_is_committed(config, data, monkeypatch):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    look(data, FakeLogs(), queue=FakeQueue(RUNNING))
    store = stores(data)[0]
    seen = []

    def spy(*args, **kwargs):
        seen.append(store.unexamined.exists())
        raise Killed

    monkeypatch.setattr(fmon.store.log, "write_durably", spy)
    with pytest.raises(Killed):
        look(data, FakeLogs(), minute=2)
    assert seen == [True]


def test_a_quiet_poll_loads_no_re2_and_no_examination(config, data, tmp_path):
    adopt(config, FakeQueue(RUNNING), data, now=START)
    look(data, FakeLogs(), queue=FakeQueue(RUNNING))
    (tmp_path / "queue.json").write_text(json.dumps(RUNNING))
    script = (
        "import sys\nfrom fmon.cli.poll import PollCall, run_poll\n"
        f"run_poll(PollCall([], {str(data)!r}, {'file:' + str(tmp_path / 'queue.json')!r}))\n"
        "unwanted = {'re2', 'fmon.monitor.classify', 'fmon.causes.analyze', 'duckdb', 'numpy'}\n"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


REASON = "Job exited with exit code 3 (user program failure). To see the details, run: sky jobs logs 3"


@pytest.mark.parametrize("field", [{"failure_reason": REASON}, {"details": f"Failure: {REASON}"}])
def test_the_queues_reason_and_its_exit_code_are_evidence_of_a_silent_job(store, data, field):
    failed = [*FAILED[:2], FAILED[2] | field, FAILED[3]]
    look(data, FakeLogs({LogRequest(3): "✓ Job finished (status: FAILED).\n"}), queue=FakeQueue(failed))
    found = findings(data, "job_id, source, evidence, exit_code::bigint as exit_code")[0]
    assert found == {
        "job_id": 3,
        "source": "failure_reason",
        "evidence": "Job exited with exit code 3",
        "exit_code": 3,
    }
    assert logs(data, None, "3", FakeLogs()).sentence().endswith("; exit code 3")
