"""Each sentence taken for SkyPilot's is in its source, and no other is printed where logs are shown."""

import ast
import functools
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from fmon.sky.own_lines import CODE, JOBS, LOG_LIB, SENTENCES, sentence_of

PACKAGE = Path(find_spec("sky").submodule_search_locations[0])
SHOWN_BY = {
    JOBS: {"stream_logs_by_id", "stream_logs"},
    LOG_LIB: {"tail_logs", "tail_logs_iter", "_follow_job_logs"},
}
"""The functions that print the log of a job, or something instead of it."""

SAID_ELSEWHERE = {
    "Multiple managed jobs found with name {} (Job IDs: {}). Please specify the job_id instead.",
    "Multiple running jobs found with name {}.",
    "Parent process died, terminating.",
    "stdin EOF detected (connection dropped), terminating.",
    "stdin closed, terminating.",
    "\nFailure reason: {}",
}
"""Sentences of these functions that go to the server's log, need a job's name, or follow another sentence."""

PRINTERS = {
    "print",
    "logger.info",
    "logger.warning",
    "logger.error",
    "ux_utils.finishing_message",
    "ux_utils.spinner_message",
}


def text_of(node):
    """Give a string as in the source, ``{}`` for each value, without colors; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("%s", "{}")
    if isinstance(node, ast.JoinedStr):
        return "".join(_piece(part) for part in node.values)
    return None


def _piece(node):
    if isinstance(node, ast.Constant):
        return node.value
    return "" if ast.unparse(node.value).startswith(("colorama", "ux_utils.INDENT")) else "{}"


@functools.cache
def tree(file):
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


@functools.cache
def texts(file):
    """All strings of a file; those of the code that SkyPilot generates are within one long string."""
    found = [text for node in ast.walk(tree(file)) if (text := text_of(node))]
    joined = (re.sub(r"'\n +f?'", "", text.replace("\\'", "'")) for text in found)
    return [re.sub(r"\{\w+\}", "{}", text) for text in joined]


@pytest.mark.parametrize(
    "sentence", [each for each in SENTENCES if each.file], ids=lambda each: each.text[:40]
)
def test_each_sentence_is_in_the_file_of_skypilot_that_it_names(sentence):
    assert any(sentence.text in text for text in texts(sentence.file))


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda each: each.text[:40])
def test_each_sentence_is_recognized_with_values_in_it(sentence):
    line = sentence.text.replace("=== {}", "=== Task 0").replace("{} finished", "Task a.b-c(1) finished")
    line = line.replace("{}({})", "prep(0)").replace("{}", "7")
    assert sentence_of(line).kind == sentence.kind
    assert sentence_of(f"I 03-02 10:01:00.123 PID=7 utils.py:57] {line}").kind == sentence.kind


def printed(file):
    """The strings that the functions of a file print, return or raise."""
    for function in ast.walk(tree(file)):
        if not isinstance(function, ast.FunctionDef) or function.name not in SHOWN_BY[file]:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTERS:
                yield from (text for each in node.args for part in ast.walk(each) if (text := text_of(part)))
            if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
                yield from (text for part in ast.walk(node.value) if (text := text_of(part)))


@pytest.mark.parametrize("file", sorted(SHOWN_BY))
def test_where_skypilot_shows_a_log_it_prints_no_other_sentence(file):
    sentences = {text for text in printed(file) if len(text) > 12 and text not in SAID_ELSEWHERE}
    assert len(sentences) >= 6
    assert {text for text in sentences if not is_known(text) and not is_piece(text)} == set()


def is_known(text):
    return any(sentence.text in text for sentence in SENTENCES)


def is_piece(text):
    """Tell whether a text is part of a sentence: a walk through an f-string gives its pieces too."""
    return any(text in whole and text != whole for file in (JOBS, LOG_LIB, CODE) for whole in texts(file))


@pytest.mark.parametrize(
    "line",
    [
        "step 3",
        "",
        "Task failed",
        "the job has finished",
        "(train, pid=7) Job 7 not found.",
        "x" * 800 + "=== Task a(0) ===",
        "Job 12 not found. Traceback",
        "training finished (status: ok)",
        "=== task 1 ===",
        "INFO: logs written",
    ],
)
def test_a_line_of_a_program_is_not_recognized(line):
    assert sentence_of(line) is None
