# ruff: noqa: E501
"""Lines that hold several: JSON log records, and the repr of bytes or of a traceback."""

import json

import pytest

from fmon.causes import analyze_logs
from fmon.causes.folded import MAX_FOLDED, record_of, unfolded

TRACEBACK = """Traceback (most recent call last):
  File "/workspace/study/train.py", line 10, in step
    loss.backward()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22.05 GiB.
"""
OOM = TRACEBACK.splitlines()[-1]
STEP = '{"event": "epoch 1 done", "level": "info"}\n'

RECORDS = {
    "structlog": {"event": "step failed", "level": "error", "timestamp": "2026-03-02T10:00:00Z", "exception": TRACEBACK.strip()},
    "structlog with a list of exceptions": {"event": "step failed", "level": "error", "exception": [{"exc_type": "OutOfMemoryError", "exc_value": OOM.partition(": ")[2], "is_cause": False, "frames": [{"filename": "/workspace/study/train.py", "lineno": 10, "name": "step"}]}]},
    "loguru": {"text": f"2026-03-02 10:00:00.123 | ERROR    | train:step:10 - step failed\n{TRACEBACK}", "record": {"level": {"icon": "x", "name": "ERROR", "no": 40}, "message": "step failed", "exception": {"type": "OutOfMemoryError", "value": OOM.partition(": ")[2], "traceback": True}}},
    "python-json-logger": {"asctime": "2026-03-02 10:00:00,123", "levelname": "ERROR", "message": "step failed", "exc_info": TRACEBACK.strip()},
    "ray": {"asctime": "2026-03-02 10:00:00,123", "levelname": "ERROR", "message": "step failed", "filename": "train.py", "lineno": 10, "job_id": "01000000", "exc_text": TRACEBACK.strip()},
    "pino": {"level": 50, "time": 1772445600000, "pid": 7, "hostname": "n1", "err": {"type": "OutOfMemoryError", "message": OOM.partition(": ")[2], "stack": TRACEBACK}, "msg": "step failed"},
    "zap": {"level": "error", "ts": 1772445600.1, "caller": "runner/run.go:40", "msg": "worker failed", "error": OOM, "stacktrace": "main.run\n\t/src/run.go:40"},
    "zerolog": {"level": "fatal", "error": OOM, "time": 1772445600, "message": "worker failed"},
    "the Elastic schema": {"@timestamp": "2026-03-02T10:00:00Z", "log.level": "error", "message": "step failed", "error": {"type": "OutOfMemoryError", "message": OOM, "stack_trace": TRACEBACK}},
    "a cloud": {"severity": "ERROR", "jsonPayload": {"message": "step failed", "traceback": TRACEBACK}},
    "OpenTelemetry": {"severity_text": "ERROR", "body": "step failed", "attributes": {"exception.type": "OutOfMemoryError", "exception.message": OOM, "exception.stacktrace": TRACEBACK}},
    "the output of another program": {"event": "worker failed", "level": "error", "stderr": OOM},
    "the repr of one": {"event": "worker failed", "level": "error", "output": repr(TRACEBACK.encode())},
    "a field of its own": {"msg": "step failed", "lvl": "error", "why": TRACEBACK},
    "a list of lines": {"message": "step failed", "level": "ERROR", "stackTrace": TRACEBACK.splitlines()},
}  # fmt: skip


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
@pytest.mark.parametrize("prefix", ["", "(train, pid=7) ", "2026-03-02T10:00:00Z stderr F ", "ERROR:app:"])
def test_a_record_is_read_as_its_message_with_its_traceback(record, prefix):
    info = analyze_logs(f"{prefix}{STEP}{prefix}{json.dumps(record)}\n", "FAILED")
    assert (info.category, info.evidence_line) == ("cuda_oom", 2)
    assert info.evidence.endswith(OOM.partition(": ")[2])


def test_a_record_per_line_is_a_traceback():
    lines = [{"log": f"{line}\n", "stream": "stderr"} for line in TRACEBACK.splitlines()]
    info = analyze_logs("".join(f"{json.dumps(each)}\n" for each in lines), "FAILED")
    assert (info.category, info.evidence_line, info.files) == ("cuda_oom", 4, ("/workspace/study/train.py",))


def test_a_long_record_is_read_to_its_end():
    frames = "".join(
        f'  File "/workspace/study/net.py", line {number}, in forward\n    x\n' for number in range(400)
    )
    record = {
        "level": "error",
        "message": "failed",
        "exc_info": TRACEBACK.replace("  File", f"{frames}  File"),
    }
    line = json.dumps(record)
    assert 20_000 < len(line) < MAX_FOLDED
    info = analyze_logs(f"{STEP}{line}\n{STEP}", "FAILED")
    assert (info.category, info.evidence, info.evidence_line) == ("cuda_oom", OOM, 2)


@pytest.mark.parametrize("level", ["warning", "info"])
def test_an_error_takes_precedence_over_a_record_with_level_warning(level):
    warned = {"event": "MlflowException: API request failed: 500 error responses, will go on", "level": level}
    raised = {"event": "failed", "level": "error", "exception": "KeyError: 'mask'"}
    info = analyze_logs(f"{json.dumps(warned)}\n{json.dumps(raised)}\n", "FAILED")
    assert info.exception_class == "KeyError"


def test_steps_after_an_error_that_was_survived_are_seen_in_records():
    steps = "".join(
        f'{{"level": "info", "msg": "train", "epoch": {number}, "loss": 0.3}}\n' for number in range(5)
    )
    raised = {"level": "error", "msg": "skipped a batch", "exc_info": TRACEBACK}
    last = {"level": "error", "msg": "failed", "exc_info": "KeyError: 'mask'"}
    info = analyze_logs(f"{json.dumps(raised)}\n{steps}{json.dumps(last)}\n", "FAILED")
    assert info.exception_class == "KeyError"


def test_unknown_failures_are_grouped_by_the_message_and_not_by_the_time():
    first, second = (
        analyze_logs(
            json.dumps({"event": "solver gave no answer", "level": "error", "ts": at}) + "\n", "FAILED"
        )
        for at in ("2026-03-02T10:00:00Z", "2026-03-02T11:07:01.5Z")
    )
    assert (first.evidence, first.root_cause_id) == ("solver gave no answer", second.root_cause_id)


@pytest.mark.parametrize(
    "text",
    [
        '{"epoch": 3, "loss": 0.1, "error": 0.02}',
        '{"message": "cut off',
        '{"a": {"message": 1}}',
        "{'loss': 0.3}",
        '["message"]',
    ],
)
def test_what_is_not_a_log_record_is_not_read_as_one(text):
    assert record_of(text) is None


REPRS = {
    "bytes": f"{TRACEBACK.encode()!r}",
    "bytes of a child": f"RuntimeError: the child failed: {TRACEBACK.encode()!r}",
    "bytes behind other words": f"stdout: b'', stderr: {(b'warn ' + TRACEBACK.encode())!r}, returncode: 1",
    "bytes with a line before": f"out={('ü first' + chr(10) + TRACEBACK).encode()!r})",
    "text": f"error: {TRACEBACK!r}",
    "text in a tuple": f"('train', 1, {TRACEBACK!r})",
    "text in text": f"{json.dumps(json.dumps(TRACEBACK))}",
    "a part of a record over several lines": f'  "exception": {json.dumps(TRACEBACK)},',
}


@pytest.mark.parametrize("line", REPRS.values(), ids=REPRS.keys())
def test_a_repr_is_read_as_the_lines_that_it_contains(line):
    info = analyze_logs(f"epoch 1\n{line}\n", "FAILED")
    assert (info.category, info.evidence, info.evidence_line) == ("cuda_oom", OOM, 2)


@pytest.mark.parametrize(
    "line",
    [r'    raise ValueError(b"first\nsecond")', r"C:\new\nets", r"KeyError: 'a\nb'", r"print b'one line\t'"],
)
def test_escaped_line_ends_in_code_and_paths_do_not_split_a_line(line):
    assert unfolded(line) == [line]
