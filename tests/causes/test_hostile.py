# ruff: noqa: E501
"""Whatever stands in a log: an answer, in time linear in its length, with evidence that is really there."""

import mmap
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmon.causes import FailureInfo, analyze_logs

STATUSES = [
    "FAILED",
    "FAILED_SETUP",
    "FAILED_PRECHECKS",
    "FAILED_NO_RESOURCE",
    "FAILED_CONTROLLER",
    "CANCELLED",
    "SUCCEEDED",
    "RECOVERING",
    "",
    "WHATEVER",
]
WORDS = [
    "Traceback (most recent call last):\n",
    '  File "a.py", line 1, in f\n',
    "    x()\n",
    "ValueError: x\n",
    "RuntimeError: Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n",
    "\nDuring handling of the above exception, another exception occurred:\n\n",
    "\nThe above exception was the direct cause of the following exception:\n\n",
    "  + Exception Group Traceback (most recent call last):\n",
    "  | ExceptionGroup: two (2 sub-exceptions)\n",
    "[rank1]: ",
    "(train, pid=4) ",
    "\x1b[36m",
    "\x1b[",
    "\x1b]8;;",
    "\r",
    "\r\n",
    "\x00",
    "\u2028",
    "\x85",
    "\x0c",
    "CUDA out of memory. Tried to allocate",
    "Killed\n",
    "srun: error: node1: task 0: Exited with exit code 1\n",
    "*** JOB 1 ON n CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n",
    "Root Cause (first observed failure):\n",
    "100%|██████████| 5/5 [00:00<00:00, 9.1it/s]",
    "ERROR: Job 1 failed with return code list: [137]\n",
    "  warnings.warn(\n",
    "Retrying in 5 s\n",
]
hostile = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=30)), max_size=40).map("".join)


def check(text: str | bytes, info: FailureInfo, status: str) -> None:
    assert 0 <= info.confidence <= 1
    assert info.signature
    assert info.root_cause_id
    assert (info.category == "none") == (status == "SUCCEEDED")
    if info.evidence is not None:
        assert len(info.evidence) <= 500
        assert "\n" not in info.evidence
        assert not any(ord(char) < 32 and char != "\t" for char in info.evidence), "a terminal would obey it"
    if info.source == "log":
        raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
        line = raw.split(b"\n")[info.evidence_line - 1].decode("utf-8", "replace")
        rest = iter(line)  # colours, control characters and the middle of a long line may be left out
        missing = [
            char for char in info.evidence.replace(" ... ", "") if not char.isspace() and char not in rest
        ]
        assert not missing, (info.evidence, line)


@given(hostile, st.sampled_from(STATUSES))
@example("\x1b", "FAILED")
@example("\n\n", "FAILED")
@settings(max_examples=150, deadline=None)
def test_words_of_logs_in_any_order_get_an_answer_whose_evidence_is_there(text, status):
    check(text, analyze_logs(text, status), status)


@given(st.binary(max_size=400), st.sampled_from(STATUSES))
@settings(max_examples=80, deadline=None)
def test_arbitrary_bytes_get_an_answer(text, status):
    check(text, analyze_logs(text, status), status)


@given(hostile, hostile, hostile)
@settings(max_examples=40, deadline=None)
def test_reason_and_controller_log_may_be_anything_too(text, reason, controller):
    info = analyze_logs(text, "FAILED_NO_RESOURCE", failure_reason=reason, controller_log=controller)
    assert info.category != "none"


def test_lone_surrogates_in_a_string_do_no_harm():
    assert analyze_logs("\udcff\ud800 ValueError: x\n", "FAILED").category


def test_bytes_text_and_a_map_of_the_same_log_give_the_same_answer(tmp_path):
    text = "epoch 1 ✓\r\nTraceback (most recent call last):\n  File \"/w/a.py\", line 3, in f\n    g()\nKeyError: 'x'\n"
    path = tmp_path / "log"
    path.write_bytes(text.encode())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        answers = [analyze_logs(each, "FAILED") for each in (text, text.encode(), mapped)]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0].evidence_line, answers[0].exception_class) == (5, "KeyError")


def test_other_line_ends_than_line_feed_do_not_shift_the_line_number():
    text = "a\x0bb\x0cc\x85d\u2028e\rf\ng\nModuleNotFoundError: No module named 'monai'\n"
    for form in (text, text.encode()):
        info = analyze_logs(form, "FAILED")
        assert info.evidence_line == 3, info


FRAME = '  File "/w/a.py", line 3, in f\n    g()\n'
CHAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"
GROWING = {
    "one line without end": lambda n: "x" * n,
    "words of errors in one line": lambda n: "RuntimeError: CUDA error " * (n // 25),
    "carriage returns": lambda n: "\r 5%|▌ | 1/20 [00:01<00:19]" * (n // 30),
    "colour codes": lambda n: "\x1b[31m" * (n // 5),
    "colour codes that never end": lambda n: "\x1b[" + "1;" * (n // 2),
    "titles that never end": lambda n: "\x1b]0;" * (n // 4),
    "nested tracebacks": lambda n: ("Traceback (most recent call last):\n" + FRAME + "ValueError: x\n" + CHAIN) * (n // 170),
    "headers without an end": lambda n: "Traceback (most recent call last):\n" * (n // 35),
    "frames without an end": lambda n: "Traceback (most recent call last):\n" + FRAME * (n // 40),
    "a message of many lines": lambda n: "Traceback (most recent call last):\n" + FRAME + "ValueError: x\n" + " a\n" * (n // 3),
    "error lines": lambda n: "ERROR: something failed\n" * (n // 24),
    "many errors of many ranks": lambda n: "".join(f"[rank{k}]: ValueError: {k}\n" for k in range(n // 24)),
    "open brackets": lambda n: "(" * n,
    "quotes and paths": lambda n: "FileNotFoundError: '" + "/a" * (n // 2),
    "retries": lambda n: "ConnectionError: reset. Retrying in 1 s\nepoch 1\n" * (n // 48),
    "zeros": lambda n: "\x00" * n,
    "spaces": lambda n: " " * n,
    "prefixes": lambda n: "(a, pid=1) " * (n // 11),
}  # fmt: skip


def cpu_s(text: bytes) -> float:
    """CPU time of an answer [s]: the better of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        analyze_logs(text, "FAILED")
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize("make", GROWING.values(), ids=GROWING.keys())
def test_time_grows_with_the_length_and_no_faster(make):
    analyze_logs("warm up", "FAILED")
    small, large = make(150_000).encode(), make(1_200_000).encode()
    spent = cpu_s(large)
    assert spent < 1.5 or spent < 2.5 * 8 * cpu_s(small), (
        "eight times the text takes far more than eight times as long"
    )
    assert spent < 4


@pytest.mark.slow
def test_a_line_of_ten_megabytes_is_read_through_to_the_error_behind_it():
    info = analyze_logs("x" * 10_000_000 + "\nModuleNotFoundError: No module named 'monai'\n", "FAILED")
    assert (info.category, info.evidence_line) == ("import_error", 2)


@pytest.mark.slow
def test_an_error_in_front_of_fifty_megabytes_is_found():
    text = (
        b"ModuleNotFoundError: No module named 'monai'\n" + b"wandb: uploaded 0.1 MB of 9.9 MB\n" * 1_500_000
    )
    info = analyze_logs(text, "FAILED")
    assert (info.category, info.evidence_line) == ("import_error", 1)
