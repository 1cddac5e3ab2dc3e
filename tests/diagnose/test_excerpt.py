"""The lines of a log around the one that decided: the right ones, however odd the log."""

import pytest

from fmon.diagnose.excerpt import MAX_AROUND, excerpt_of, narrowed
from tests.support.parts import parts


def cut_out(text, number, evidence="", **room):
    found = excerpt_of(text, job_id=7, is_controller=False, number=number, evidence=evidence)
    return None if found is None else narrowed(found, **({"around": 2, "characters": 80} | room))


LOG = "".join(f"line {number}\n" for number in range(1, 31))


def test_gives_the_lines_before_and_after_with_their_numbers_and_marks_one():
    shown = cut_out(LOG, 10)
    assert [(line["number"], line["text"]) for line in shown] == [(n, f"line {n}") for n in range(8, 13)]
    assert [line["number"] for line in shown if line["is_marked"]] == [10]


@pytest.mark.parametrize(("number", "numbers"), [(1, [1, 2, 3]), (30, [28, 29, 30])])
def test_stops_at_the_ends_of_the_log(number, numbers):
    assert [line["number"] for line in cut_out(LOG, number)] == numbers


def test_the_whole_log_is_counted_without_the_empty_lines_at_its_end():
    found = excerpt_of(LOG + "\n\n", job_id=7, is_controller=True, number=3, evidence="")
    assert (found.line_count, found.is_controller, len(found.lines)) == (30, True, 3 + MAX_AROUND)


def test_no_line_of_another_task_of_the_job_is_shown():
    log = parts("KeyError: caught\n", "step 1\nValueError: bad\n", "step 2\n")
    number = log.split("\n").index("ValueError: bad") + 1
    shown = [line["text"] for line in cut_out(log, number, around=9)]
    assert shown[0] == "=== Task t1(1) ==="
    assert shown[-2:] == ["ValueError: bad", "✓ Task t1(1) finished (status: SUCCEEDED)."]


@pytest.mark.parametrize("number", [0, 31, -1])
def test_a_line_that_the_log_does_not_have_any_more_gives_nothing(number):
    assert cut_out(LOG, number) is None


def test_of_a_progress_bar_the_last_state_is_shown_as_a_terminal_would():
    log = " 1%|  |\r50%|# |\r99%|##|\r\nValueError: bad\n\r\r\nend\n"
    assert [line["text"] for line in cut_out(log, 2)] == ["99%|##|", "ValueError: bad", "", "end"]


def test_of_a_line_of_several_parts_the_part_that_decided_is_shown():
    log = "99%|##|\rValueError: bad\r100%\n"
    assert cut_out(log, 1, "ValueError: bad")[0]["text"] == "ValueError: bad"


def test_a_line_of_ten_megabytes_shows_its_evidence_and_costs_nothing():
    log = f"{'x' * 5_000_000}ValueError: bad{'y' * 5_000_000}\n{'z' * 1_000_000}\n"
    marked, after = cut_out(log, 1, "ValueError: bad")
    assert marked["text"] == "ValueError: bad"
    assert len(after["text"]) < 120


def test_control_characters_are_spelt_out():
    assert cut_out("\x1b[31mred\u202e\n", 1)[0]["text"] == "\\x1b[31mred\\u202e"
